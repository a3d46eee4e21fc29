package launch

import (
	"testing"

	"github.com/4cc2e759/sandbox/internal/flat"
)

// A field that cannot be kept would make every start of a built environment a slow one, without a word.
func TestCompiledCanBeKept(t *testing.T) {
	b, err := flat.Marshal(&Compiled{})
	if err != nil {
		t.Fatal(err)
	}
	if err := flat.Unmarshal(b, new(Compiled)); err != nil {
		t.Error(err)
	}
}
