// Package launch starts environments that are built already: it is all that the program needs that
// is executed most often, so it links nothing that pulls, resolves or builds.
//
// Use [Find] for the project of a folder, then [Project.Try], which runs in it or says [ErrEngine].
// Whoever can build (package sandbox) makes the [Compiled] plan of a project, keeps it with
// [Project.Keep], and uses [Project.Cached] and [Project.Run] for the common part; its [Launcher]
// has the hooks that make what is missing. One Project is for one goroutine; many processes may work
// on one store.
package launch
