/*
 * The PC that a guest sees, wired together in one place: which chips stand at which ports, whose line goes
 * where, what the CMOS says, which memory is where. Everything else about a chip is in devices/.
 */
#ifndef GUEST_PC_H
#define GUEST_PC_H

#include "lib/base.h"

struct boot_info;
struct plan;

/*
 * Makes guest `index` of the plan: its memory, devices, buses, vCPU, then loads its image and adds it to the
 * run loop's VMs. False with a logged reason. Called at boot only.
 */
bool pc_create(const struct plan *plan, unsigned index, const struct boot_info *boot);

#endif
