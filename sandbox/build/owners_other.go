//go:build !linux

package build

import (
	"errors"
	"os"

	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/sandbox/owner"
)

// OwnersOver gives the owners of a writable layer.
func OwnersOver(string, []string, map[string]owner.Owner) (layer.Owners, error) {
	return nil, errors.New("only Linux has writable layers")
}

func rememberFolders(*os.File, []deb.Entry) error {
	return errors.New("only Linux has writable layers")
}

func removeBytecode(string) error { return errors.New("only Linux has writable layers") }

// StaleBytecode lists what a writable layer must go on to hide.
func StaleBytecode(string, []string) ([]string, error) {
	return nil, errors.New("only Linux has writable layers")
}
