// The maps of a BPF object and their pins.
//
// Maps outlive the programs: another object of the same version uses those that are pinned. Where their layouts are another version's,
// all are made anew beside them; the programs that run keep the old ones until others take their place in the links.
#pragma once

#include <bpf/libbpf.h>

#include "base/result.h"

namespace merino {

enum class MapPins {
  kept,     // an existing map is used, a new one pinned in its place
  renewed,  // new maps, pinned beside those that there are until replace_maps()
};

// What the opened object needs: `renewed` if a pinned map has an older ABI version, or is not as the object describes it.
Result<MapPins> choose_map_pins(const bpf_object& object);

// Says of each map of the opened object where it is to be pinned by the load.
Status name_map_pins(const bpf_object& object, MapPins pins);

// Puts the loaded object's `renewed` maps in the place of the old ones, and removes pins of maps that this version does not have. The one
// with the version goes last: what ends halfway is done again from its beginning.
Status replace_maps(const bpf_object& object);

}  // namespace merino
