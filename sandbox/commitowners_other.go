//go:build !linux

package sandbox

import (
	"errors"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/sandbox/owner"
)

func ownersOver(string, []string, map[string]owner.Owner) (layer.Owners, error) {
	return nil, errors.New("only Linux has sandboxes to commit")
}
