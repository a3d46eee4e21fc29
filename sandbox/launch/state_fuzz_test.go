package launch

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/4cc2e759/sandbox/internal/sealed"
)

// FuzzState reads any bytes as the state of a kept sandbox, which says what gc keeps: an error, or what is the same
// when it is written again.
func FuzzState(f *testing.F) {
	good := `{"name":"box","env":"sha256:0","project":"/p","uid":0,"gid":0,"shell":true,"ended":"2026-01-02T03:04:05Z","layers":["abc"],"gpu":{"a":[1]}}`
	f.Add([]byte(good))
	f.Add(sealed.Seal([]byte(good)))
	for _, s := range []string{"", "{}", "null", "[]", `{"name":"box","ended":"today"}`, `{"uid":1e3}`, `{"layers":"abc"}`, `{"gpu":null}`, `{"gpu": [ 1 ]}`, `{"gpu":"\u2028<"}`, `{"layers":["abc"]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &Instance{Dir: t.TempDir(), Name: "box"}
		if err := os.WriteFile(filepath.Join(in.Dir, "state.json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := in.State()
		if err != nil {
			return
		}
		if err := in.SetState(*s); err != nil {
			return // a year that nobody writes
		}
		s.Name = in.Name
		again, err := in.State()
		if err != nil {
			t.Fatal(err)
		}
		x, _ := json.Marshal(s)
		y, _ := json.Marshal(again)
		if string(x) != string(y) {
			t.Errorf("%s, then %s", x, y)
		}
	})
}
