// Package oracle holds our choice of device nodes and driver files against NVIDIA's own: for each machine
// of gpu/gputest it runs nvcdi, the library behind `nvidia-ctk cdi generate`, and compares. Use
// `make oracle`, as root; every difference has to be in the list of differences_test.go with its reason.
//
// It is a module of its own, because nvcdi needs cgo and brings much that the product does without.
package oracle
