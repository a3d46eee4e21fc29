package envfile_test

import (
	"slices"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/envfile/toolchain"
)

// The names are checked where the file is read and known where claims are planned; neither package
// imports the other.
func TestToolNamesAreThoseThatCanBePlanned(t *testing.T) {
	read, planned := envfile.ToolNames(), toolchain.Names()
	slices.Sort(read)
	slices.Sort(planned)
	if !slices.Equal(read, planned) {
		t.Errorf("read %v\nplanned %v", read, planned)
	}
}
