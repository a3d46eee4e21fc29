package wheel

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzFilename(f *testing.F) {
	f.Add("torch-2.5.1+cu124-1abc-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
	f.Add("a-1-py3-none-any.whl")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseFilename(s)
		if err == nil && (strings.ContainsAny(s, "/\x00") || Normalize(n.Name) == "" || len(n.Python) == 0) {
			t.Errorf("%q passes as %+v", s, n)
		}
	})
}

func FuzzVersion(f *testing.F) {
	f.Add("1!2.5.1rc1.post2.dev3+cu.124", "1.0")
	f.Fuzz(func(t *testing.T, a, b string) {
		v, err1 := ParseVersion(a)
		w, err2 := ParseVersion(b)
		if err1 != nil || err2 != nil {
			return
		}
		if v.Compare(w) != -w.Compare(v) || v.Compare(v) != 0 {
			t.Errorf("%s against %s is not an order", v, w)
		}
		u, err := ParseVersion(v.Public())
		if err != nil || u.comparePublic(v) != 0 {
			t.Errorf("%s is written as %s", a, v.Public())
		}
	})
}

func FuzzMarker(f *testing.F) {
	f.Add(`python_version >= "3.8" and (extra == 'a' or "x" in extras)`)
	env := here.Environment([]string{"a"}, nil)
	f.Fuzz(func(t *testing.T, s string) { env.Eval(s) })
}

func FuzzPylock(f *testing.F) {
	f.Add([]byte(lockHead + "[[packages]]\nname = \"a\"\nversion=\"1\"\nwheels=[" + whl("a-1-py3-none-any.whl", hashA) + "]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePylock(b)
		if err != nil {
			return
		}
		pins, err := p.Select(here, nil, nil)
		if err != nil {
			return
		}
		for _, pin := range pins {
			if _, err := ParseFilename(pin.File); err != nil {
				t.Errorf("pin with the file name %q", pin.File)
			}
		}
	})
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(htmlBody), "text/html")
	f.Add([]byte(jsonBody), "application/vnd.pypi.simple.v1+json")
	base, _ := url.Parse("https://index.invalid/simple/foo/")
	f.Fuzz(func(t *testing.T, b []byte, kind string) {
		files, err := parsePage(b, kind, base)
		if err != nil {
			return
		}
		for _, x := range files {
			u, err := url.Parse(x.URL)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(x.Name, "/\n") {
				t.Errorf("%+v", x)
			}
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte("Name: a\nVersion: 1\n more\n\nbody"))
	f.Fuzz(func(t *testing.T, b []byte) { ParseMetadata(b).NameVersion() })
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("a,sha256=x,1\n\"b,c\",,\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		lines, err := parseRecord(b)
		if err != nil {
			return
		}
		again, err := parseRecord(formatRecord(lines))
		if err != nil || len(again) != len(lines) {
			t.Errorf("%d lines, then %d, %v", len(lines), len(again), err)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("[global]\nindex-url = https://a.invalid\n  more\n"))
	f.Add([]byte("[[index]]\nurl = \"https://a.invalid\"\ndefault = true\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parsePipConf(b, "pip.conf")
		parseUVConf(b, "uv.toml")
	})
}

func FuzzEntryPoints(f *testing.F) {
	f.Add([]byte("[console_scripts]\na = b.c:d.e [x]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ss, err := parseEntryPoints(b)
		if err != nil {
			return
		}
		for _, s := range ss {
			if strings.ContainsAny(s.name+s.module+s.attr, "/\n\r;()'\"") {
				t.Errorf("%+v", s)
			}
		}
	})
}

// FuzzFileList reads any lines as the list of files of an unpacked wheel: an error, or files below its folder.
func FuzzFileList(f *testing.F) {
	for _, s := range []string{
		listMagic + " foo 1.0\n- abc 3 site/foo.py\nx def 0 scripts/a b\n", listMagic + " foo 1.0\n", listMagic + " foo\n", "other foo 1.0\n", listMagic + " foo 1.0",
		listMagic + " foo 1.0\n- abc 3 ../x\n", listMagic + " foo 1.0\n- abc 3 /etc/passwd\n", listMagic + " foo 1.0\n- abc x site/a\n", listMagic + " foo 1.0\n\n\n", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "files"), b, 0o644); err != nil {
			t.Fatal(err)
		}
		project, files, err := readList(dir)
		if err != nil {
			return
		}
		if strings.ContainsAny(project, " \n") {
			t.Errorf("the project %q", project)
		}
		for _, x := range files {
			if !filepath.IsLocal(x.from) || x.size < 0 {
				t.Errorf("%+v", x)
			}
		}
	})
}

// Whatever an archive holds, nothing is written outside the folder.
func FuzzUnpack(f *testing.F) {
	seed := makeWheel(f, f.TempDir(), "p", "1", entry{name: "x/y.py", body: "z"}, entry{name: "p-1.data/scripts/s", body: "#!python\n"})
	b, err := os.ReadFile(seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		top := t.TempDir()
		in, out, prefix := filepath.Join(top, "p-1-py3-none-any.whl"), filepath.Join(top, "out"), filepath.Join(top, "prefix")
		if os.WriteFile(in, b, 0o644) != nil || os.Mkdir(out, 0o755) != nil || os.Mkdir(prefix, 0o755) != nil {
			t.Fatal("cannot write")
		}
		if Unpack(in, "p-1-py3-none-any.whl", out) == nil {
			// A wheel may well have two files for one place through its data folder.
			var c *ConflictError
			if err := Link([]Wheel{{Dir: out, File: "p"}}, prefix, "3.11", LinkOptions{}); err != nil && !errors.As(err, &c) {
				t.Errorf("what was unpacked cannot be linked: %v", err)
			}
		}
		if ents, err := os.ReadDir(top); err != nil || len(ents) != 3 {
			t.Errorf("%v beside the folders, %v", ents, err)
		}
		ents, err := os.ReadDir(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range ents {
			switch e.Name() {
			case "site", "scripts", "data", "headers", "files":
			default:
				t.Errorf("%s in the wheel's folder", e.Name())
			}
		}
	})
}
