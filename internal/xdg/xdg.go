// Package xdg finds the folders of the XDG base directory specification, version 0.8:
// https://specifications.freedesktop.org/basedir-spec/latest/
package xdg

import (
	"os"
	"path/filepath"
)

// Data is $XDG_DATA_HOME, or ~/.local/share.
func Data() string { return dir("XDG_DATA_HOME", ".local/share") }

// Config is $XDG_CONFIG_HOME, or ~/.config.
func Config() string { return dir("XDG_CONFIG_HOME", ".config") }

// Cache is $XDG_CACHE_HOME, or ~/.cache.
func Cache() string { return dir("XDG_CACHE_HOME", ".cache") }

// A relative value is invalid by the specification and is passed over.
func dir(env, rel string) string {
	if d := os.Getenv(env); filepath.IsAbs(d) {
		return filepath.Clean(d)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	return filepath.Join(home, rel)
}
