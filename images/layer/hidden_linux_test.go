package layer

import (
	"bytes"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/images/store"
)

// hidingModel is what a layer is by the rules: the last entry of a name wins, a folder stays one, and whatever it
// ever hid of the layers below stays hidden.
type hidingModel struct {
	kinds          map[string]byte // d or f
	hidden, opaque map[string]bool
}

// folder makes p and what it lies in, or says that a file is in the way.
func (m *hidingModel) folder(p string) bool {
	if p == "." {
		return true
	}
	if m.kinds[p] == 'f' || !m.folder(path.Dir(p)) {
		return false
	}
	m.kinds[p] = 'd'
	return true
}

// add is one more entry, unless none can be there.
func (m *hidingModel) add(kind int, p string) []ent {
	if !m.folder(path.Dir(p)) {
		return nil
	}
	switch kind {
	case 0:
		m.kinds[p] = 'd'
		return ents(dir(p+"/", 0o755))
	case 1:
		for q := range m.kinds {
			if strings.HasPrefix(q, p+"/") {
				delete(m.kinds, q)
			}
		}
		for q := range m.opaque { // an opaque folder is a whiteout and a folder, which goes
			if q == p || strings.HasPrefix(q, p+"/") {
				m.hidden[q] = true
			}
		}
		m.kinds[p] = 'f'
		return ents(file(p, "new"))
	case 2:
		m.hidden[p] = true
		return ents(file(path.Join(path.Dir(p), ".wh."+path.Base(p)), ""))
	}
	if !m.folder(p) {
		return nil
	}
	m.opaque[p] = true
	return ents(opq(p + "/"))
}

// shows: the path of a lower layer is seen.
func (m *hidingModel) shows(p string) bool {
	for q := p; q != "."; q = path.Dir(q) {
		if m.hidden[q] || q != p && (m.opaque[q] || m.kinds[q] == 'f') {
			return false
		}
	}
	return true
}

// T-43, T-44, T-47: whiteouts, opaque folders, files and folders of the same few names, in any order.
func TestHidingInAnyOrder(t *testing.T) {
	var names []string
	for _, a := range []string{"a", "b"} {
		names = append(names, a)
		for _, b := range []string{a + "/a", a + "/b"} {
			names = append(names, b, b+"/a", b+"/b")
		}
	}
	var low []ent
	for _, n := range names {
		low = append(low, file(n+"/low", "low"))
	}
	lower, _ := apply(t, makeTar(t, low...))
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		m := &hidingModel{map[string]byte{}, map[string]bool{}, map[string]bool{}}
		var es []ent
		for range 3 + r.IntN(25) {
			es = append(es, m.add(r.IntN(4), names[r.IntN(len(names))])...)
		}
		var told []string
		for _, e := range es {
			told = append(told, e.Name)
		}
		b := makeTar(t, es...)
		d := newLayer(t)
		if _, err := Apply(t.Context(), bytes.NewReader(b), d, ApplyOptions{flushAt: int64(seed % 2)}); err != nil {
			t.Fatalf("%d: %q: %v", seed, told, err)
		}
		s := NewStack([]string{lower + "/fs", d + "/fs"})
		for _, n := range names {
			for _, p := range []string{n, n + "/low"} {
				fi, err := s.Lstat(p)
				want, have := m.kinds[p], byte(0)
				if want == 0 && m.shows(p) {
					want = map[bool]byte{true: 'f', false: 'd'}[p != n]
				}
				if err == nil {
					have = map[bool]byte{true: 'd', false: 'f'}[fi.IsDir()]
				}
				if have != want {
					t.Errorf("%d: %q: %s is %q, want %q", seed, told, p, have, want)
				}
			}
		}
		s.Close()
		if seed%10 == 0 {
			same(t, d, b)
			if err := Check(temps(t))(t.Context(), store.Layer{Name: store.DigestOf(b).Hex(), Dir: d, FS: d + "/fs"}); err != nil {
				t.Errorf("%d: %q: %v", seed, told, err)
			}
		}
	}
}
