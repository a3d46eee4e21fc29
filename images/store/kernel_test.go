package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func otherDevice(string) error                 { return nil }
func fullDisk(string) error                    { return nil }
func readOnlyUse(*Store, string, Digest) error { return nil }

var _ = errors.New
var _ = fmt.Sprint
var _ = os.Open
var _ = strings.Cut
var _ syscall.Errno

func TestX(t *testing.T) {}
