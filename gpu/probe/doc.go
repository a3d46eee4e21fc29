// Package probe finds out what GPUs a machine has: [Probe] asks NVML through a child process
// (sandbox-gpu-probe) and fills in what procfs and sysfs know; [Present] only looks whether there can be
// one, and costs three stats.
//
// An inventory comes back also with an error: the error says why a program that needs the GPU would fail,
// the inventory is what can be known all the same. What is merely less known (NVML hangs, the child is
// missing) is in Inventory.Warnings, and typed in [Options.Problem].
package probe
