// Faults and events of the device by name, as the native bench and the Verilog module give them.

#ifndef OPENPPU_HBM_FAULTS_H
#define OPENPPU_HBM_FAULTS_H

#include <cstdint>
#include <string>
#include <vector>

#include "device.h"

namespace hbm {

// Makes one; throws std::runtime_error if there is none of that name, or it lacks a number.
//
//   temperature CODE, catastrophic ON, update_request ON
//   flip_bit PC BANK ROW COLUMN BIT, stick_bit PC BANK ROW COLUMN BIT VALUE
//   flip_reads PC SKIP COUNT BITS..., flip_lane PC LANE SKIP COUNT, lose_strobes PC SKIP COUNT
//   spoil_command COLUMN_BUS SKIP, clear_faults
//
// device.h explains them. Lane 8 carries the check bits.
void inject(Device& device, const std::string& name, const std::vector<int64_t>& values);

}  // namespace hbm

#endif
