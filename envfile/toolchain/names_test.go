package toolchain_test

import (
	"slices"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/envfile/toolchain"
)

// The env file's schema names the tools, and this package knows them: neither may have one alone.
func TestNamesAreThoseOfTheSchema(t *testing.T) {
	a, b := toolchain.Names(), envfile.ToolNames()
	slices.Sort(a)
	slices.Sort(b)
	if !slices.Equal(a, b) {
		t.Errorf("here %q, there %q", a, b)
	}
}
