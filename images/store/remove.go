package store

import "github.com/4cc2e759/sandbox/internal/rmtree"

// RemoveAll removes path and everything below it, also folders without any permission that belong to
// the caller; see package rmtree. A path that is not there is no error.
func RemoveAll(path string) error {
	_, err := rmtree.Remove(path)
	return err
}
