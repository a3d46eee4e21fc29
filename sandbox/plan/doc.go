// Package plan turns what is known about a start into a [spec.Spec], the list of operations that
// package start executes.
//
// Use [Plan]. It is pure: no system call, no clock, no environment, so the same [Inputs] give the
// same plan on every machine and a golden test can hold it. What is known ahead of a start, and may
// be kept between starts, is in [Env]; what belongs to this start and this machine is in [Host],
// [Project] and [Sandbox].
package plan
