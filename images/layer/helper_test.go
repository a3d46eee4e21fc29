package layer

import (
	"testing"

	"github.com/4cc2e759/sandbox/images/store"
)

func removeAll(t testing.TB, path string) {
	if err := store.RemoveAll(path); err != nil {
		t.Error(err)
	}
}
