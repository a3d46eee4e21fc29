// Package toolchain turns the claims of an env file's [toolchain] into steps, and proves them.
//
// A claim says what the finished environment has: python = "3.11", pytorch = "2.5.1", cuda = "12.4".
// Read what a tree of files provides with [Detect], then let [Plan] say for each claim whether the
// base satisfies it already, which Debian packages or Python wheels to add, or why it cannot be had
// and what is nearest. When versions are locked, [Settle] checks the claims against them; [Prove]
// does so for the finished environment, with what its own programs say.
//
// There is one table, in tools.go, and a tool is one entry of it. The package is pure: it opens no
// file of its own, runs nothing and asks no network; callers hand in what there is. Tables of facts
// (facts.go) only advise: no claim is refused because of them alone. All functions may be called
// from many goroutines at once.
package toolchain
