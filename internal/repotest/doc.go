// Package repotest holds the rules of this repository as tests: which package may import which, what
// every package and file has to be like, and that what the README says is run by a test. It has no
// code of its own.
//
// A rule that is in the way is changed here, in the same commit that breaks it, with the reason.
package repotest
