// Package compat answers, before anything is downloaded, whether an environment can work on this
// machine's GPUs. Use [NeedOf] to read what a lock and an image's configuration ask for, then [Check]
// against what the machine has; each [Problem] says what is needed, what is here, and up to three ways
// that do work here.
//
// It knows, as data with a source and a date (folder data): the lowest driver for each CUDA version,
// which GPUs the official builds of PyTorch, TensorFlow and JAX have code for, the last driver of old
// GPUs, and where NVIDIA's forward-compatibility libraries help. A fact that nobody could check is marked
// so; a problem that rests on one never blocks, and no way is offered on one. Facts only advise: a caller
// whose user insists goes on, and records the IDs of the problems that were passed over.
//
// Everything is a pure function of its arguments and may be called from many goroutines at once.
package compat
