//go:build !linux

package testenv

import "errors"

var errLinux = errors.New("this is not Linux")

func program(string) func() error     { return func() error { return errLinux } }
func programs(...string) func() error { return func() error { return errLinux } }
func asRoot(...string) func() error   { return func() error { return errLinux } }
func probePodman() error              { return errLinux }
func probeUserns() error              { return errLinux }
func probeOverlay() error             { return errLinux }
func probeRoot() error                { return errLinux }
func probeUsers() error               { return errLinux }
func probeSubuid() error              { return errLinux }
func probeDevices() error             { return errLinux }
func probeMknod() error               { return errLinux }
func probeLoop() error                { return errLinux }
func probeGit() error                 { return errLinux }
func probeMirror() error              { return errLinux }
func probeIndex() error               { return errLinux }
func probeBusybox() error             { return errLinux }
func probeCgroup(...string) error     { return errLinux }
func probeGroups() error              { return errLinux }
