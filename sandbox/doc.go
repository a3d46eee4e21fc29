// Package sandbox makes environments from env files and runs programs in them.
//
// Use [Open] for a [Manager], then [Manager.Project] for the project of a folder, then
// [Project.Run] or [Project.Build]. Everything that `sandbox` prints comes from here as values and
// errors; errors carry their advice (package internal/hint) and the program's own exit code is never
// mixed with a failure of ours.
//
// Below it: package build pins and makes layers, package plan turns an environment into the plan of
// a start, package start executes it, package check knows what a host must allow. A Manager may be
// used by many goroutines, and many processes may work on one store.
package sandbox
