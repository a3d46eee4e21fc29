package wheel

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnpackPutsEveryKindInItsPlace(t *testing.T) {
	w := unpacked(t, "My_Pkg", "1.0",
		entry{name: "my_pkg/", mode: fs.ModeDir | 0o755},
		entry{name: "my_pkg/__init__.py", body: "x = 1\n"},
		entry{name: "my_pkg/tool", body: "bin", mode: 0o755},
		entry{name: "My_Pkg-1.0.data/purelib/pure.py", body: "p"},
		entry{name: "My_Pkg-1.0.data/platlib/plat.py", body: "q"},
		entry{name: "My_Pkg-1.0.data/scripts/run", body: "#!python -s\nprint()\n"},
		entry{name: "My_Pkg-1.0.data/scripts/win", body: "#!pythonw\r\nprint()\n"},
		entry{name: "My_Pkg-1.0.data/scripts/sh", body: "#!/bin/sh\necho\n"},
		entry{name: "My_Pkg-1.0.data/headers/a.h", body: "int a;"},
		entry{name: "My_Pkg-1.0.data/data/share/x", body: "data"},
		entry{name: "My_Pkg-1.0.dist-info/INSTALLER", body: "evil"},
		entry{name: "My_Pkg-1.0.dist-info/direct_url.json", body: "{}"},
		entry{name: "My_Pkg-1.0.dist-info/entry_points.txt", body: "[console_scripts]\n# c\ncmd = my_pkg:main.go [extra]\n[gui_scripts]\ngui=my_pkg.g:run\n[other]\nz = y\n"},
	)
	got := listing(t, w.Dir)
	for _, want := range []string{
		"-rw-r--r-- site/my_pkg/__init__.py x = 1|\n",
		"-rwxr-xr-x site/my_pkg/tool bin\n",
		"-rw-r--r-- site/pure.py p\n",
		"-rw-r--r-- site/plat.py q\n",
		"-rwxr-xr-x scripts/run #!/opt/env/bin/python -s|print()|\n",
		"-rwxr-xr-x scripts/win #!/opt/env/bin/python|print()|\n",
		"-rwxr-xr-x scripts/sh #!/bin/sh|echo|\n",
		"-rw-r--r-- headers/a.h int a;\n",
		"-rw-r--r-- data/share/x data\n",
		"-rw-r--r-- site/My_Pkg-1.0.dist-info/INSTALLER sandbox|\n",
		"-rwxr-xr-x scripts/cmd #!/opt/env/bin/python|# -*- coding: utf-8 -*-|import sys|from my_pkg import main|if __name__ == \"__main__\":|    sys.exit(main.go())|\n",
		"-rwxr-xr-x scripts/gui #!/opt/env/bin/python|# -*- coding: utf-8 -*-|import sys|from my_pkg.g import run|",
		"../../../bin/cmd,sha256=",
		"../../../include/site/pythonX.Y/my-pkg/a.h,sha256=",
		"../../../share/x,sha256=",
		"|My_Pkg-1.0.dist-info/RECORD,,|",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "direct_url") || strings.Contains(got, "evil") {
		t.Errorf("files that are the installer's were taken from the wheel:\n%s", got)
	}
	fi, err := os.Stat(filepath.Join(w.Dir, "site/pure.py"))
	if err != nil || !fi.ModTime().Equal(Time) {
		t.Errorf("time of a file = %v, %v", fi.ModTime(), err)
	}
}

func TestRecordOfAnUnpackedWheelIsRight(t *testing.T) {
	w := unpacked(t, "p", "1", entry{name: "p.py", body: "pass"}, entry{name: "p-1.data/scripts/s", body: "#!python\n"})
	b, err := os.ReadFile(filepath.Join(w.Dir, "site/p-1.dist-info/RECORD"))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := parseRecord(b)
	if err != nil || len(lines) != 6 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	prefix := t.TempDir()
	if err := Link([]Wheel{w}, prefix, "3.11", LinkOptions{}); err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, l := range lines {
		if l.path < last {
			t.Errorf("not sorted: %s after %s", l.path, last)
		}
		last = l.path
		c, err := os.ReadFile(filepath.Join(prefix, "lib/python3.11/site-packages", l.path))
		if err != nil {
			t.Error(err)
		}
		if strings.HasSuffix(l.path, "RECORD") {
			continue
		}
		if err := l.checkAgainst(sum(c), int64(len(c))); err != nil {
			t.Error(err)
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	rec := func(body string) entry { return entry{name: "p-1.dist-info/RECORD", body: body} }
	for name, c := range map[string]struct {
		entries []entry
		want    string
	}{
		"path that leaves":       {[]entry{{name: "../../etc/cron.d/x"}}, "not a usable path"},
		"absolute path":          {[]entry{{name: "/etc/passwd"}}, "not a usable path"},
		"dot part":               {[]entry{{name: "a/./b"}}, "not a usable path"},
		"backslash":              {[]entry{{name: `a\..\b`}}, "not a usable path"},
		"line end in a name":     {[]entry{{name: "a\nb"}}, "not a usable path"},
		"invalid UTF-8":          {[]entry{{name: "a\xff"}}, "not a usable path"},
		"the same name twice":    {[]entry{{name: "a"}, {name: "a"}}, "twice"},
		"file and folder":        {[]entry{{name: "a"}, {name: "a/b"}}, "file and folder at once"},
		"symlink":                {[]entry{{name: "a", body: "/etc", mode: fs.ModeSymlink | 0o777}}, "not a regular file"},
		"device":                 {[]entry{{name: "a", mode: fs.ModeDevice | 0o666}}, "not a regular file"},
		"path out of data":       {[]entry{{name: "p-1.data/data/../../../x"}}, "not a usable path"},
		"unknown kind":           {[]entry{{name: "p-1.data/cron/x"}}, "unknown kind"},
		"kind without a file":    {[]entry{{name: "p-1.data/x"}}, "not in a folder of its kind"},
		"two files, one place":   {[]entry{{name: "x.py"}, {name: "p-1.data/purelib/x.py"}}, "two files for one place"},
		"folder over file":       {[]entry{{name: "x"}, {name: "p-1.data/purelib/x/y"}}, "file and folder at once"},
		"metadata by the door":   {[]entry{{name: "p-1.data/purelib/p-1.dist-info/METADATA"}}, "metadata in the wrong place"},
		"second dist-info":       {[]entry{{name: "q-1.dist-info/METADATA"}}, "two dist-info"},
		"wrong hash":             {[]entry{{name: "x", body: "y"}, rec("x,sha256=AAAA,1\n")}, "not the one in RECORD"},
		"wrong size":             {[]entry{{name: "x", body: "y"}, rec("x,,7\n")}, "RECORD says 7"},
		"broken RECORD":          {[]entry{rec("\"x")}, "RECORD"},
		"code in an entry point": {[]entry{{name: "p-1.dist-info/entry_points.txt", body: "[console_scripts]\nx = os;evil:f\n"}}, "not module:function"},
		"path in an entry point": {[]entry{{name: "p-1.dist-info/entry_points.txt", body: "[console_scripts]\n../x = a:f\n"}}, "not a usable name"},
	} {
		t.Run(name, func(t *testing.T) {
			p := makeWheel(t, t.TempDir(), "p", "1", c.entries...)
			wantError(t, Unpack(p, filepath.Base(p), t.TempDir()), c.want)
		})
	}
}

func TestUnpackRefusesOtherMetadata(t *testing.T) {
	for name, c := range map[string]struct {
		entries []entry
		want    string
	}{
		"another project":      {append(metadataOf("q", "1"), entry{name: "q-1.dist-info/RECORD"}), "holds another package"},
		"another version":      {append(metadataOf("p", "2"), entry{name: "p-2.dist-info/RECORD"}), "holds another package"},
		"no RECORD":            {metadataOf("p", "1"), "no RECORD"},
		"nothing":              {[]entry{{name: "x"}}, "no dist-info folder"},
		"metadata of another":  {[]entry{{name: "p-1.dist-info/METADATA", body: "Name: z\nVersion: 1\n"}, metadataOf("p", "1")[1], {name: "p-1.dist-info/RECORD"}}, "about another package"},
		"format of the future": {[]entry{metadataOf("p", "1")[0], {name: "p-1.dist-info/WHEEL", body: "Wheel-Version: 2.0\n"}, {name: "p-1.dist-info/RECORD"}}, "unknown version of the wheel format"},
	} {
		t.Run(name, func(t *testing.T) {
			p := filepath.Join(t.TempDir(), "p-1-py3-none-any.whl")
			writeZip(t, p, c.entries)
			wantError(t, Unpack(p, filepath.Base(p), t.TempDir()), c.want)
		})
	}
}

// Overlapping entries are how a small file unpacks to petabytes: every central entry points at the
// same data.
func TestUnpackRefusesOverlappingEntries(t *testing.T) {
	p := makeWheel(t, t.TempDir(), "p", "1", entry{name: "big", body: strings.Repeat("x", 1<<20)})
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.LastIndex(b, []byte("PK\x05\x06"))
	dirAt := int(binary.LittleEndian.Uint32(b[end+16:]))
	i := bytes.LastIndex(b[:end], []byte("big")) - 46
	one := b[i : i+46+3]
	var dir []byte
	const copies = 2000
	for n := range copies {
		e := bytes.Clone(one)
		copy(e[46:], []byte{byte('a' + n%26), byte('a' + n/26%26), byte('a' + n/676)})
		dir = append(dir, e...)
	}
	out := append(bytes.Clone(b[:end]), dir...)
	tail := bytes.Clone(b[end:])
	count := binary.LittleEndian.Uint16(tail[10:]) + copies
	binary.LittleEndian.PutUint16(tail[8:], count)
	binary.LittleEndian.PutUint16(tail[10:], count)
	binary.LittleEndian.PutUint32(tail[12:], uint32(end-dirAt+len(dir)))
	if err := os.WriteFile(p, append(out, tail...), 0o644); err != nil {
		t.Fatal(err)
	}
	wantError(t, Unpack(p, filepath.Base(p), t.TempDir()), "overlap")
}

func TestUnpackRefusesMoreThanDeflateCanGive(t *testing.T) {
	p := makeWheel(t, t.TempDir(), "p", "1", entry{name: "big", body: strings.Repeat("x", 1<<20)})
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.LastIndex(b, []byte("PK\x05\x06"))
	i := bytes.LastIndex(b[:end], []byte("big")) - 46
	binary.LittleEndian.PutUint32(b[i+24:], 0xfffffff0)
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
	wantError(t, Unpack(p, filepath.Base(p), t.TempDir()), "claims to unpack")
}

func TestLargeWheelIsUnpackedTheSameByManyCores(t *testing.T) {
	var many []entry
	for i := range 40 {
		many = append(many, entry{name: "p/" + strings.Repeat("m", i+1), body: strings.Repeat("0123456789abcdef", 1<<16)})
	}
	a, b := unpacked(t, "p", "1", many...), unpacked(t, "p", "1", many...)
	x, _ := os.ReadFile(filepath.Join(a.Dir, "files"))
	y, _ := os.ReadFile(filepath.Join(b.Dir, "files"))
	if len(x) == 0 || !bytes.Equal(x, y) {
		t.Error("two unpackings differ")
	}
	c, err := os.ReadFile(filepath.Join(b.Dir, "site/p", strings.Repeat("m", 40)))
	if err != nil || len(c) != 1<<20 {
		t.Errorf("%d bytes, %v", len(c), err)
	}
}

func TestStoredEntries(t *testing.T) {
	p := makeWheel(t, t.TempDir(), "p", "1", entry{name: "x", body: "stored", method: zip.Store})
	if err := Unpack(p, filepath.Base(p), t.TempDir()); err != nil {
		t.Error(err)
	}
}
