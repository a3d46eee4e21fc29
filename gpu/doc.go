// Package gpu says which GPUs of a machine a program gets. It holds the facts of a machine
// ([Inventory]), what is wanted ([Request], read by [Parse]) and the choice ([Request.Select]); all of it
// is plain data and pure functions.
//
// Below it: probe finds the facts, driver the driver's files on the host, inject what of them goes into
// a sandbox, lease keeps two runs from taking one GPU, compat knows which builds run on which driver and
// GPU, cdi reads other vendors' device descriptions.
package gpu
