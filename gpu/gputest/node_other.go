//go:build !linux

package gputest

import (
	"os"
	"testing"
)

func nodes(testing.TB) string { return NodesNull }

func (tr *tree) node(name string, _, _ int) { tr.check(os.Symlink("/dev/null", tr.path(name))) }

func (tr *tree) socket(name string) { tr.file(name, "") }
