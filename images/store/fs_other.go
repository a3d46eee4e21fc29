//go:build unix && !linux

package store

import (
	"log/slog"
	"os"
	"syscall"
)

func filesystem(path string) (int64, error) {
	_, err := os.Stat(path)
	return 0, err
}

func checkFilesystem(string, int64, *slog.Logger) error { return nil }

func syncTree(string) error { return syscall.Sync() }
