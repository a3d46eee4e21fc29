package envfile

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// tomlCorpus holds every way in which TOML can write a key.
var tomlCorpus = []string{
	"a = 1\nb = \"x\"\n",
	"[a]\nb = 1\n[a.b2]\nc = 2\n[a.b2.c2]\n",
	"[a.b.c]\nx = 1\n[a]\ny = 2\n[a.b]\nz = 3\n",
	"a.b.c = 1\na.b.d = 2\na.e = 3\n",
	"[[a]]\nx = 1\n[[a]]\nx = 2\n[a.sub]\ny = 3\n[[a.list]]\nz = 4\n[[a.list]]\nz = 5\n[[a]]\n[[a.list]]\nz = 6\n",
	"\"q k\".'l k'.b = 1\n[\"t.t\".'u']\n\"\" = 2\n\"\\u00e9\\n\" = 3\n",
	"a = { b = 1, c.d = 2, \"e\" = { f = [ { g = 1 }, { g = 2 } ] } }\n",
	"a = [\n  1, # one\n  [2, 3],\n  { b = [ { c = 1 } ] },\n]\n",
	"a = {\n  b = 1, # TOML 1.1\n  c = 2,\n}\n",
	"a = \"\"\"\n[not.a.table]\nb = 1\n\"\"\"\nc = '''\n'''\nd = \"\"\"x\\\"\"\"\"\"\"\ne = ''''x'''''\n",
	"a = \"# no [comment] = 1\"  # [comment]\nb = '\\' # x\nc = \"\\\\\"\n",
	"[ a . \"b\" ] # c\n x . y = 1\n\t[[ z ]]\n",
	"\ufeff[a]\r\nb = 1\r\n\r\nc = \"\"\"\r\nx\r\n\"\"\"\r\n",
	"a = 2024-01-02\nb = 2024-01-02 10:00:00Z\nc = 1_000\nd = 0x1F\ne = inf\nf = 1e5\ng = 10:00:00\n",
	"0 = 1\n[1]\n2 = 3\n[[3.0]]\n0 = 4\n[[3.0]]\n1 = 5\n",
	"[a]\nb = []\nc = {}\n[d]\n",
	"[x]\n[a.x]\n[[x.y]]\nz = 1\n[x.y.w]\nv = 1\n",
	"ключ = 1\n",
	"'ключ' = 1\n\"日本\".x = \"語\"\n",
	"a = [[[]], [[1, [2]]]]\n",
	"a = [{}, {b = {}}, {b.c = 1, b.d = [1, {e = 1}]}]\n",
}

// checkPositions holds the scanner against the decoder: the same keys in the same order, a place for
// every value, and at that place the text that gives this key and this value.
func checkPositions(t *testing.T, text string) {
	src := newSource("f", []byte(text))
	var doc map[string]any
	md, err := toml.Decode(src.text, &doc)
	if err != nil || strings.HasPrefix(src.text, "\ufeff") { // the decoder takes a second mark, we do not
		return
	}
	root, problem := readTree(src)
	if problem != nil {
		for _, limit := range []string{"nested too deeply", "more than", "larger than", "NUL", "conflict markers", "UTF-8"} {
			if strings.Contains(problem.Msg, limit) {
				return
			}
		}
		t.Fatalf("the decoder reads what the scanner does not: %v\n%s", problem, text)
	}
	if !reflect.DeepEqual(fmt.Sprint(root.plain()), fmt.Sprint(datesAsText(root, doc))) {
		t.Fatalf("tree differs:\n%v\n%v\n%s", root.plain(), doc, text)
	}
	var want, got []string
	for _, k := range md.Keys() {
		want = append(want, strings.Join(k, "\x00"))
	}
	s := &tomlScan{src: []byte(src.text), under: -1, counts: map[string]int{}}
	for s.skip(true); s.pos < len(s.src); s.skip(true) {
		if s.src[s.pos] == '[' {
			err = s.headerLine()
		} else {
			err = s.keyValue(s.table, false, 0)
		}
		if err == nil {
			err = s.lineEnd()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range s.nodes {
		if n.key.end > 0 {
			got = append(got, strings.Join(namesOnly(root, n.path), "\x00"))
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("scanner:\n%q\ndecoder:\n%q\n%s", got, want, text)
	}
	checkPlaces(t, root, nil)
}

// namesOnly drops the numbers of elements from a scanner's path.
func namesOnly(n *keyNode, path []string) (out []string) {
	for _, part := range path {
		if !n.isList {
			out = append(out, part)
		}
		n = n.get(part)
		if n == nil {
			return append(out, "no such node")
		}
	}
	return out
}

// datesAsText makes the decoder's values comparable with plain, which writes dates as they stand.
func datesAsText(n *keyNode, v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, y := range x {
			out[k] = datesAsText(n.get(k), y)
		}
		return out
	case []map[string]any:
		out := []any{}
		for i, y := range x {
			out = append(out, datesAsText(n.list[i], y))
		}
		return out
	case []any:
		out := []any{}
		for i, y := range x {
			out = append(out, datesAsText(n.list[i], y))
		}
		return out
	case string, int64, float64, bool, nil:
		return v
	}
	return n.plain()
}

// checkPlaces decodes the text at every place again.
func checkPlaces(t *testing.T, n *keyNode, path []string) {
	t.Helper()
	text := n.src.text
	for name, kid := range n.kids {
		at := append(path[:len(path):len(path)], name)
		var key map[string]int
		raw := text[kid.key.start:kid.key.end]
		if _, err := toml.Decode(raw+" = 1", &key); err != nil || len(key) != 1 {
			t.Fatalf("%q: no key at its place: %q in\n%s", at, raw, text)
		}
		if _, ok := key[name]; !ok {
			t.Fatalf("%q: another key at its place: %q in\n%s", at, raw, text)
		}
		checkPlaces(t, kid, at)
	}
	for i, e := range n.list {
		checkPlaces(t, e, append(path[:len(path):len(path)], fmt.Sprint(i)))
	}
	if n.value == nil {
		return
	}
	var v map[string]any
	if _, err := toml.Decode("v = "+n.raw(), &v); err != nil || fmt.Sprint(v["v"]) != fmt.Sprint(n.value) {
		t.Fatalf("%q: %v at the place of %v: %q in\n%s", path, v["v"], n.value, n.raw(), text)
	}
}

func TestEveryKeyHasItsPlace(t *testing.T) {
	for _, text := range tomlCorpus {
		checkPositions(t, text)
	}
}

func FuzzPositions(f *testing.F) {
	for _, text := range tomlCorpus {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<12 {
			return
		}
		checkPositions(t, text)
	})
}

func TestPositionsOfADocument(t *testing.T) {
	d, err := Parse("sandbox.toml", []byte(`schema = 1
[image]
base = "deb:trixie"
[apt]
packages = [
	"git",
	"vim",
]
[[step]]
run = "true"
[[step]]
run = "false"
env = { A = "1", B = "2" }
[task.train]
run = "x"
env.set.LR = "1"
`))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"schema":                "sandbox.toml:1:1",
		"image":                 "sandbox.toml:2:2",
		"image base":            "sandbox.toml:3:1",
		"image user":            "sandbox.toml:2:2", // not there: the table that would hold it
		"apt packages 1":        "sandbox.toml:7:2",
		"step 1":                "sandbox.toml:11:3",
		"step 1 env B":          "sandbox.toml:13:18",
		"step 7 run":            "sandbox.toml:9:3",
		"task train":            "sandbox.toml:14:7",
		"task train env set LR": "sandbox.toml:16:9",
	} {
		if got := d.Pos(strings.Fields(key)...).String(); got != want {
			t.Errorf("%s: %s, not %s", key, got, want)
		}
	}
	if d.Has("image", "user") || !d.Has("step", "1", "env", "B") {
		t.Error("Has is wrong")
	}
}
