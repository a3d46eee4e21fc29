package envfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/hint"
)

func hex64(c string) string { return strings.Repeat(c, 64) }

// exampleLock has every kind of pin, in no good order.
func exampleLock() *Lock {
	return &Lock{
		Version: LockVersion, Tool: LockTool, LayerFormat: LayerFormat, Epoch: 1760000000, AsOfKept: []string{"python", "deb"},
		Sections: map[string]*Section{
			SectionName("linux/amd64", []string{"cpu"}): {
				Image: ImagePin{Ref: "deb:trixie"},
				Debs:  []DebPin{exampleDeb("libc6", "2.41-12")},
			},
			SectionName("linux/amd64", nil): {
				Inputs: map[string]string{"apt.packages": "git,libsndfile1", "python.packages": `"numpy>=1,<3",pandas`, "file:requirements.txt": "sha256:" + hex64("a")},
				Config: Config{Name: "digits", ProjectAt: "/workspace", User: "image", Env: map[string]string{"MOTD": "it's \"here\"\n", "A": ""},
					Publish: []string{"8080:80"}, Cmd: []string{"sh", "-c", `python train.py "$@"`, "default"}},
				Image: ImagePin{Ref: "pytorch/pytorch:2.5.1", Index: "sha256:" + hex64("1"), Manifest: "sha256:" + hex64("2"),
					Layers: []LayerPin{
						{Digest: "sha256:" + hex64("9"), DiffID: "sha256:" + hex64("8"), Size: 31, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip"},
						{Digest: "sha256:" + hex64("3"), DiffID: "sha256:" + hex64("4"), Size: 12},
					}},
				Toolchain: map[string]ToolPin{
					"pytorch": {Version: "2.5.1", From: "wheel", Facts: map[string]string{"cuda": "12.4", "cudnn": "9.1.0.70"}},
					"python":  {Version: "3.11.10", From: "base"},
				},
				Debs: []DebPin{exampleDeb("libsndfile1", "1.2.2-2"), exampleDeb("git", "1:2.47.3-0+deb13u1")},
				Wheels: []WheelPin{
					{Name: "torch", Version: "2.5.1", From: "base"},
					{Name: "numpy", Version: "2.2.1", File: "numpy-2.2.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", Size: 16410000, SHA256: hex64("d"), Index: "default"},
				},
				Interpreters: []FilePin{{Name: "python", File: "cpython-3.12.tar.gz", URL: "https://files.example/cpython-3.12.tar.gz", Size: 5, SHA256: hex64("e")}},
				Steps: []StepPin{
					{Run: "make -C csrc\nmake install", Workdir: "csrc", Network: true, Env: map[string]string{"CFLAGS": "-O2"}, Inputs: map[string]string{"csrc/Makefile": "sha256:" + hex64("9")}},
					{Args: []string{"ldconfig", "-v"}},
				},
				Fetches: []FetchPin{{URL: "https://files.example/w.bin", SHA256: hex64("f"), Size: 7, To: "/models/w.bin", Unpack: true, Mode: 0o755}},
				Built:   map[string]BuiltLayer{hex64("7"): {DiffID: "sha256:" + hex64("6"), Files: "sha256:" + hex64("5")}, "k": {Files: "sha256:" + hex64("5")}},
			},
		},
	}
}

func exampleDeb(name, version string) DebPin {
	return DebPin{Name: name, Version: version, Arch: "amd64", Archive: "Debian/trixie/main", Path: "pool/main/" + name + ".deb",
		Size: 1234, SHA256: hex64("b"), Layer: "apt"}
}

func lockText(t testing.TB, l *Lock) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := l.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// golden compares got with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", file, got)
	}
}

// message is an error as the command line prints it.
func message(err error) string {
	if err == nil {
		return "no error\n"
	}
	s := "error: " + err.Error() + "\n"
	for _, h := range hint.Of(err) {
		s += "\nhint: " + h + "\n"
	}
	return s
}

func TestLockTextIsStable(t *testing.T) {
	text := lockText(t, exampleLock())
	golden(t, "lock/example.lock", text)
	l := exampleLock()
	s := l.Sections["linux-amd64"]
	slices.Reverse(s.Debs)
	slices.Reverse(s.Wheels)
	slices.Reverse(l.AsOfKept)
	if lockText(t, l) != text {
		t.Error("another order of the pins gave another text")
	}
	back, err := ReadLock("sandbox.lock", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if lockText(t, back) != text {
		t.Error("read and written again, the text differs")
	}
	if want := exampleLock().Sections["linux-amd64"]; !reflect.DeepEqual(back.Sections["linux-amd64"].Config, want.Config) ||
		!reflect.DeepEqual(back.Sections["linux-amd64"].Image, want.Image) || !reflect.DeepEqual(back.Sections["linux-amd64"].Built, want.Built) {
		t.Error("read back, the section differs")
	}
	if _, err := ReadLock("sandbox.lock", []byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		t.Error("line ends that git changed:", err)
	}
}

func TestDigestCoversPinsAndConfigOnly(t *testing.T) {
	base := exampleLock().Digest("linux-amd64")
	if !strings.HasPrefix(base, "sha256:") {
		t.Fatal(base)
	}
	// Frozen: a change of this value makes every lock look edited by hand.
	golden(t, "lock/digest.txt", base+"\n")
	for name, c := range map[string]struct {
		change func(l *Lock, s *Section)
		same   bool
	}{
		"inputs":           {func(l *Lock, s *Section) { s.Inputs["apt.packages"] = "git" }, true},
		"built":            {func(l *Lock, s *Section) { s.Built = nil }, true},
		"tool":             {func(l *Lock, s *Section) { l.Tool = "1.5" }, true},
		"as-of-kept":       {func(l *Lock, s *Section) { l.AsOfKept = nil }, true},
		"another section":  {func(l *Lock, s *Section) { delete(l.Sections, "linux-amd64+cpu") }, true},
		"order of pins":    {func(l *Lock, s *Section) { slices.Reverse(s.Debs) }, true},
		"epoch":            {func(l *Lock, s *Section) { l.Epoch++ }, false},
		"layer format":     {func(l *Lock, s *Section) { l.LayerFormat++ }, false},
		"a deb":            {func(l *Lock, s *Section) { s.Debs[0].Version = "1" }, false},
		"a wheel":          {func(l *Lock, s *Section) { s.Wheels = s.Wheels[:1] }, false},
		"order of layers":  {func(l *Lock, s *Section) { slices.Reverse(s.Image.Layers) }, false},
		"a tool's fact":    {func(l *Lock, s *Section) { s.Toolchain["pytorch"].Facts["cuda"] = "12.1" }, false},
		"user":             {func(l *Lock, s *Section) { s.Config.User = "root" }, false},
		"environment":      {func(l *Lock, s *Section) { s.Config.Env["A"] = "1" }, false},
		"moved list items": {func(l *Lock, s *Section) { s.Config.Cmd, s.Config.Publish = s.Config.Publish, s.Config.Cmd }, false},
	} {
		l := exampleLock()
		c.change(l, l.Sections["linux-amd64"])
		if got := l.Digest("linux-amd64"); (got == base) != c.same {
			t.Errorf("%s: same digest: %v, want %v", name, got == base, c.same)
		}
	}
	if d := exampleLock().Digest("linux-arm64"); d != "" {
		t.Error("a section that is not there has a digest:", d)
	}
}

func TestReadLockRefuses(t *testing.T) {
	good := lockText(t, exampleLock())
	edit := func(old, now string) string {
		if strings.Count(good, old) == 0 {
			t.Fatalf("not in the lock: %s", old)
		}
		return strings.Replace(good, old, now, 1)
	}
	var all strings.Builder
	for _, c := range []struct{ name, text string }{
		{"a version edited by hand", edit(`version = "1.2.2-2"`, `version = "1.2.2-3"`)},
		{"a digest edited by hand", edit(`digest = "sha256:`, `digest = "sha256:`+hex64("0")+`" # `)},
		{"no digest", edit("[linux-amd64]\ndigest", "[linux-amd64]\n#")},
		{"a newer version", edit("version = 1\n", "version = 2\n")},
		{"a newer version that needs a newer tool", strings.Replace(edit("version = 1\n", "version = 2\n"), `tool = "0.1"`, `tool = "2.3"`, 1)},
		{"a newer layer format", edit("layer-format = 1", "layer-format = 2")},
		{"version 0", edit("version = 1\n", "version = 0\n")},
		{"an empty file", ""},
		{"another file", "[image]\nbase = \"deb:trixie\"\n"},
		{"a merge", edit("[linux-amd64.config]\n", "<<<<<<< HEAD\n[linux-amd64.config]\n=======\n>>>>>>> other\n")},
		{"a wrong type", edit("size = 1234", `size = "1234"`)},
		{"a float", edit("size = 1234", "size = 12.5")},
		{"a negative size", edit("size = 1234", "size = -1")},
		{"a wrong type of list", edit(`publish = ["8080:80"]`, `publish = [8080]`)},
		{"a wrong type of table", edit("[linux-amd64.config]", "[[linux-amd64.config]]")},
		{"a wrong hash", edit(`sha256 = "bb`, `sha256 = "xb`)},
		{"an upper-case hash", edit(`sha256 = "bb`, `sha256 = "BB`)},
		{"a short manifest digest", edit(`manifest = "sha256:22`, `manifest = "sha256:2`)},
		{"a package twice", edit("name = \"libsndfile1\"", "name = \"git\"")},
		{"a wheel twice", edit("name = \"numpy\"", "name = \"torch\"")},
		{"an unknown key", edit("ref = \"pytorch", "reff = 1\nref = \"pytorch")},
		{"an unknown section key", edit("[linux-amd64.built]", "[linux-amd64.build]")},
		{"a top key that is no section", edit("epoch =", "extra = 1\nepoch =")},
		{"a path that leaves the archive", edit(`path = "pool/main/git.deb"`, `path = "../../etc/passwd"`)},
		{"an absolute path", edit(`path = "pool/main/git.deb"`, `path = "/etc/passwd"`)},
		{"a wheel file with a slash", edit(`file = "numpy-`, `file = "../numpy-`)},
		{"a target that is not absolute", edit(`to = "/models/w.bin"`, `to = "models"`)},
		{"a wheel name that is not normal", edit(`name = "numpy"`, `name = "NumPy"`)},
		{"a wheel without its hash", edit(`sha256 = "dd`, `#"dd`)},
		{"cut off", good[:strings.Index(good, "1.2.2-2")]},
		{"a key twice", edit("epoch = 1760000000\n", "epoch = 1760000000\nepoch = 1\n")},
		{"nested far too deeply", "a = " + strings.Repeat("[", 1<<20)},
		{"far too many values", "a = [" + strings.Repeat("1,", 1<<21) + "]"},
		{"a long header over keys", "[" + strings.Repeat("a", 1<<20) + "]\n" + strings.Repeat("b = 1\n", 9)},
		{"a key of far too many parts", strings.Repeat("a.", 1<<20) + "b = 1"},
	} {
		_, err := ReadLock("sandbox.lock", []byte(c.text))
		if err == nil {
			t.Errorf("%s: accepted", c.name)
		}
		all.WriteString("# " + c.name + "\n" + message(err) + "\n")
	}
	golden(t, "lock/refused.txt", all.String())
}

func TestWriteToRefusesWhatCannotBeRead(t *testing.T) {
	l := exampleLock()
	l.Sections["linux-amd64"].Debs[0].Path = "../x"
	var b bytes.Buffer
	if n, err := l.WriteTo(&b); err == nil || n != 0 || b.Len() != 0 {
		t.Errorf("wrote %d bytes, error %v", n, err)
	}
}

func TestErrorsCanBeBranchedOn(t *testing.T) {
	_, err := ReadLock("sandbox.lock", []byte("version = 9\n"))
	if _, ok := errors.AsType[*NewerLockError](err); !ok {
		t.Errorf("%T", err)
	}
	_, err = ReadLock("sandbox.lock", []byte("version = 1\nx"))
	if e, ok := errors.AsType[*LockError](err); !ok || e.Line != 2 {
		t.Errorf("%T %v", err, err)
	}
}

func FuzzReadLock(f *testing.F) {
	f.Add([]byte(lockText(f, exampleLock())))
	f.Add([]byte("version = 1\nlayer-format = 1\nepoch = 0\n[linux-amd64]\n"))
	f.Add([]byte("a = [[{b = 1}]]\n[[c]]\n[c.d]\n'e' = '''x''''\n\"\\u0041\".x = 1979-05-27 07:32:00\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		l, err := ReadLock("sandbox.lock", src)
		if err != nil {
			if l != nil {
				t.Fatal("a lock beside an error")
			}
			return
		}
		text := lockText(t, l) // what was read can be written
		again, err := ReadLock("sandbox.lock", []byte(text))
		if err != nil || lockText(t, again) != text {
			t.Fatalf("not stable: %v\n%s", err, text)
		}
	})
}

func FuzzLockRoundTrip(f *testing.F) {
	f.Add("cpu", "A", "it's \"x\"\n\\", "git", "1:2+b~1", "numpy>=1", int64(5))
	f.Add("", "ключ", "\u202e\x00", "g++", "0", "", int64(0))
	f.Fuzz(func(t *testing.T, profile, key, value, deb, version, input string, n int64) {
		l := exampleLock()
		s := l.Sections["linux-amd64"]
		delete(l.Sections, "linux-amd64")
		s.Config.Env[key], s.Config.Cmd = value, []string{value, key}
		s.Inputs[key] = input
		s.Debs = append(s.Debs, exampleDeb(deb, version))
		s.Debs[0].Size = n
		name := SectionName("linux/amd64", []string{profile})
		l.Sections[name] = s
		var b bytes.Buffer
		if _, err := l.WriteTo(&b); err != nil {
			return // refused before anything was written
		}
		back, err := ReadLock("sandbox.lock", b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if back.Digest(name) != l.Digest(name) || lockText(t, back) != b.String() {
			t.Fatal("differs after the round trip")
		}
	})
}

// A lock of an ordinary size: 400 packages and 70 wheels.
func BenchmarkReadLock(b *testing.B) {
	l := exampleLock()
	s := l.Sections["linux-amd64"]
	for i := range 400 {
		s.Debs = append(s.Debs, exampleDeb(fmt.Sprintf("package%d", i), "1.0-1"))
	}
	for i := range 70 {
		s.Wheels = append(s.Wheels, WheelPin{Name: fmt.Sprintf("wheel%d", i), Version: "1", File: "f.whl", Size: 1, SHA256: hex64("c"), Index: "default"})
	}
	text := []byte(lockText(b, l))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ReadLock("sandbox.lock", text); err != nil {
			b.Fatal(err)
		}
	}
}
