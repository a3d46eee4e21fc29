package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is one entry of a made-up wheel.
type entry struct {
	name, body string
	mode       fs.FileMode // 0: 0644
	method     uint16
}

// metadataOf is the entries that every wheel has, but RECORD.
func metadataOf(name, version string) []entry {
	info := name + "-" + version + ".dist-info/"
	return []entry{
		{name: info + "METADATA", body: "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n\nText: no header\n"},
		{name: info + "WHEEL", body: "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	}
}

// makeWheel writes a wheel NAME-VERSION-py3-none-any.whl with a right RECORD unless one is given.
func makeWheel(t testing.TB, dir, name, version string, entries ...entry) string {
	t.Helper()
	all := append(metadataOf(name, version), entries...)
	info := name + "-" + version + ".dist-info/"
	var lines []recordLine
	has := false
	for _, e := range all {
		has = has || e.name == info+"RECORD"
		lines = append(lines, newLine(e.name, sha256.Sum256([]byte(e.body)), int64(len(e.body))))
	}
	if !has {
		lines = append(lines, recordLine{path: info + "RECORD"})
		all = append(all, entry{name: info + "RECORD", body: string(formatRecord(lines))})
	}
	p := filepath.Join(dir, name+"-"+version+"-py3-none-any.whl")
	writeZip(t, p, all)
	return p
}

func writeZip(t testing.TB, path string, entries []entry) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode == 0 {
			e.mode = 0o644
		}
		h.SetMode(e.mode)
		if strings.HasSuffix(e.name, "/") {
			h.Method = zip.Store
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// unpacked makes a wheel and unpacks it.
func unpacked(t testing.TB, name, version string, entries ...entry) Wheel {
	t.Helper()
	p := makeWheel(t, t.TempDir(), name, version, entries...)
	dir := t.TempDir()
	if err := Unpack(p, filepath.Base(p), dir); err != nil {
		t.Fatal(err)
	}
	return Wheel{Dir: dir, File: filepath.Base(p)}
}

// listing is a tree as lines "mode path content".
func listing(t testing.TB, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		fi, err := d.Info()
		if err != nil || d.IsDir() {
			return err
		}
		c, err := os.ReadFile(p)
		b.WriteString(fi.Mode().String() + " " + rel + " " + strings.ReplaceAll(string(c), "\n", "|") + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wantError(t testing.TB, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error = %v, want one with %q", err, part)
	}
}

func sum(b []byte) [32]byte { return sha256.Sum256(b) }
