package sandbox

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/sealed"
)

// FuzzRoot reads any bytes as the record of what a project uses: an error, which stops gc, or what is the same
// when it is written again.
func FuzzRoot(f *testing.F) {
	good := `{"project":"/home/ann/p","env":"sha256:0","layers":["abc"],"wheels":["def"],"blobs":["sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"],"seen":1700000000}`
	f.Add([]byte(good))
	f.Add(sealed.Seal([]byte(good)))
	for _, s := range []string{"", "{}", "null", "[]", `{"project":""}`, `{"project":"/x","layers":null}`, `{"project":"/x","layers":["../../x"],"seen":-9223372036854775808}`, `{"project":"/x"`, `{"project":5}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file := filepath.Join(t.TempDir(), "r.json")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := readRoot(file)
		if err != nil {
			if kerr := keepRoot(map[string]bool{}, file); kerr == nil || !strings.HasPrefix(kerr.Error(), "nothing was removed: ") {
				t.Errorf("%v, but gc goes on: %v", err, kerr)
			}
			return
		}
		if r.Project == "" {
			t.Error("a record of no project")
		}
		if err := writeRoot(file, r); err != nil {
			t.Fatal(err)
		}
		again, err := readRoot(file)
		if err != nil || !reflect.DeepEqual(lists(again), lists(r)) || again.Project != r.Project || again.Seen != r.Seen {
			t.Errorf("%+v, then %+v, %v", r, again, err)
		}
	})
}

// lists are those of a record; nil and empty are one.
func lists(r rootRecord) (out [3][]string) {
	for i, l := range [][]string{r.Layers, r.Wheels, r.Blobs} {
		out[i] = append([]string{}, l...)
	}
	return out
}
