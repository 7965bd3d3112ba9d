// Preloaded: the wall clock is as many seconds ahead as CLOCK_SHIFT_FILE holds (int64_t), or as it is if there is no such file.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t* shift;

__attribute__((constructor)) static void find_shift(void) {
  const int fd = open(CLOCK_SHIFT_FILE, O_RDONLY | O_CLOEXEC);

  if (fd < 0) return;
  void* page = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);

  close(fd);
  if (page != MAP_FAILED) shift = page;
}

static time_t ahead(void) { return shift ? (time_t)*shift : 0; }

int clock_gettime(clockid_t clock, struct timespec* now) {
  static int (*real)(clockid_t, struct timespec*);

  if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(clock, now);

  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead();
  return result;
}

int gettimeofday(struct timeval* restrict now, void* restrict zone) {
  struct timespec precise;

  (void)zone;
  clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) {
  struct timespec now;

  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
