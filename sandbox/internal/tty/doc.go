// Package tty connects the user's terminal with the terminal of a sandbox: raw mode, bytes in both
// directions, window size. Use [Find], then [Terminal.Attach] and, always, [Terminal.Finish].
package tty
