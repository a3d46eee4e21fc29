//go:build !linux

package cdi

import "io/fs"

func number(fs.FileInfo) (kind string, major, minor int64, ok bool) { return "", 0, 0, false }

func closed(string, fs.FileInfo) string { return "" }

func member(int) bool { return true }

func group(gid int) string { return decimal(gid) }
