// Package gputest makes machines with GPUs that are not there: device nodes, proc and sys trees, and a
// driver's files that the dynamic linker really loads, all below one temporary folder. Only tests
// import it.
//
// Use [New] first, with a name from [Names]; [Machine.Roots] is what code under test looks at, and
// [Machine.Inventory] is what it should find. [Machine.BuildNVML] puts a libnvidia-ml there that answers
// for that machine; it takes gcc, the rest takes nothing.
package gputest
