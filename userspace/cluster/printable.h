// The name by which this part's sources know base/printable.h.
#pragma once

#include "base/printable.h"
