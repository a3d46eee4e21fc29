// Package start executes a [spec.Spec]: it is the only package that runs foreign code.
//
// Use [Start], then [Process.Wait].
//
// Start sets up namespaces, mounts and limits as the spec says and returns when the program runs.
// Nothing is changed on the host, and nothing stays behind when the sandbox ends: the kernel removes
// its mounts and kills its processes with its first process, and that dies with this one.
package start
