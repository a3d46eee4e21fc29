package layer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// What the store keeps of a layer is read back by programs that did not write it, after years on a disk. Whatever it
// became, reading it ends with an error or with what can be written and read again as the same.

// compressed is what createZstd leaves.
func compressed(t testing.TB, path string, b []byte) {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if err := os.WriteFile(path, z.EncodeAll(b, nil), 0o644); err != nil {
		t.Fatal(err)
	}
}

func plainLayer(t testing.TB) string {
	t.Helper()
	d := t.TempDir()
	for _, sub := range []string{"/fs", "/tar", "/tar/kept"} {
		if err := os.Mkdir(d+sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// FuzzOwnerIndex reads any lines as the index of owners.
func FuzzOwnerIndex(f *testing.F) {
	for _, s := range []string{
		"o 65537 2097153 \"a\"\no 1 2 \"d\"\ni \"\"\n", "d c 1 3 \"dev/null\"\nd b 8 0 \"dev/sda\"\n", "x AQ== \"security.capability\" \"bin/ping\"\nx  \"user.k\" \"a\"\n",
		"o 1 1 \"a\"\nr \"a\"\nn \"a\"\n", "i \"a\"\nn \"a\"\ni \"a\\xff\\n\"\n", "o 4294967295 4294967295 \"a\"\n", "o -1 0 \"a\"\n", "o 4294967296 0 \"a\"\n", "d z 1 1 \"a\"\n", "x !! \"n\" \"a\"\n", "q \"a\"\n", "\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := plainLayer(t)
		compressed(t, d+"/"+ownersFile, b)
		x, err := ReadOwners(d)
		if err != nil {
			return
		}
		all := Owners{}
		for line := range strings.Lines(string(b)) {
			if l, err := parseOwnerLine(strings.TrimRight(line, "\r\n")); err == nil {
				all[l.path] = x.Owner(l.path)
			}
		}
		maps.DeleteFunc(all, func(_ string, o Owner) bool { return reflect.DeepEqual(o, Owner{}) })
		again := plainLayer(t)
		if err := WriteOwners(again, all); err != nil {
			t.Fatal(err)
		}
		y, err := ReadOwners(again)
		if err != nil {
			t.Fatal(err)
		}
		sameOwners(t, y, all)
	})
}

// FuzzPlaces reads any lines as the list of files that are elsewhere than their names say.
func FuzzPlaces(f *testing.F) {
	for _, s := range []string{
		"a 5 \"real/name\"\n", "k 3 1 \"twice\"\nk 4 2 \"twice\"\n", "a 1 \"\\xff\\n\"\n", "a 1 \"a\"\na 1 \"b\"\n", "k 1 1\n", "a 05 \"a\"\n", "k +15\n", "a +5\n", "a\n", "\n", "a 1 'a'\n", "a 1  \"a\"\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := t.TempDir()
		if err := os.WriteFile(d+"/places", b, 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := loadPlaces(d + "/places")
		if err != nil {
			return
		}
		if err := p.save(d + "/again"); err != nil {
			t.Fatal(err)
		}
		q, err := loadPlaces(d + "/again")
		if err != nil || !reflect.DeepEqual(p.aliases, q.aliases) || !reflect.DeepEqual(p.kept, q.kept) {
			t.Errorf("%+v, then %+v, %v", p, q, err)
		}
	})
}

// FuzzSide reads any bytes as the side data of a layer, and any lines as its list of places: nothing comes out that
// is not in the layer, and what is accepted is the same when it is written again.
func FuzzSide(f *testing.F) {
	side := func(write func(*sideWriter)) []byte {
		var b bytes.Buffer
		w, err := newSideWriter(&b)
		if err != nil {
			f.Fatal(err)
		}
		write(w)
		return b.Bytes()[len(sideMagic):]
	}
	f.Add(side(func(w *sideWriter) {
		w.raw([]byte("header"))
		w.file("f", 3, 0x0f4e9b5c)
		w.raw([]byte("padding"))
		w.end()
	}), "")
	f.Add(side(func(w *sideWriter) { w.file("../out", 6, 0); w.end() }), "")
	f.Add(side(func(w *sideWriter) { w.file("link", 6, 0); w.end() }), "")
	f.Add(side(func(w *sideWriter) { w.file("x", 6, 0); w.end() }), "a 1 \"../out\"\n")
	f.Add(side(func(w *sideWriter) { w.file("x", 6, 0); w.end() }), "k 1 1 \"x\"\n")
	f.Add([]byte("R\xff\xff\xff\xff\xff\xff\xff\xff\x7fabc"), "")
	f.Add([]byte("F\x03\x00\x00\x00\x00\xff\xff\xff\x7f"), "")
	f.Add([]byte("R\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "")
	f.Add([]byte("E and more"), "")
	f.Fuzz(func(t *testing.T, b []byte, where string) {
		d := plainLayer(t)
		for name, text := range map[string]string{"/out": "SECRET", "/fs/f": "xyz", "/tar/kept/1": "kept.."} {
			if err := os.WriteFile(d+name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("../out", d+"/fs/link"); err != nil {
			t.Fatal(err)
		}
		if where != "" {
			if err := os.WriteFile(d+"/"+placeFile, []byte(where), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b = append([]byte(sideMagic), b...)
		compressed(t, d+"/"+sideFile, b)
		var out bytes.Buffer
		_ = Reassemble(context.Background(), &out, d)
		if bytes.Contains(out.Bytes(), []byte("SECRET")) && !bytes.Contains(b, []byte("SECRET")) {
			t.Error("a file outside of the layer came out")
		}
		first, err := sideRecords(b)
		if err != nil {
			return
		}
		again, err := sideRecords(writeSide(t, first))
		if err != nil || fmt.Sprint(first) != fmt.Sprint(again) {
			t.Errorf("%v, then %v, %v", first, again, err)
		}
	})
}

// aRecord is a record of side data with its bytes.
type aRecord struct {
	sideRecord
	raw string
}

// sideRecords reads all of the side data; bytes that follow each other are one record.
func sideRecords(b []byte) (out []aRecord, err error) {
	r, err := newSideReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	for {
		rec, err := r.next()
		if err != nil || rec.kind == 'E' {
			return out, err
		}
		a := aRecord{sideRecord: rec}
		if rec.kind == 'R' {
			raw, err := io.ReadAll(io.LimitReader(r.r, rec.n))
			if err != nil || int64(len(raw)) < rec.n {
				return nil, io.ErrUnexpectedEOF
			}
			if a = (aRecord{raw: string(raw), sideRecord: sideRecord{kind: 'R'}}); len(raw) == 0 {
				continue
			}
			if n := len(out); n > 0 && out[n-1].kind == 'R' {
				out[n-1].raw += a.raw
				continue
			}
		}
		out = append(out, a)
	}
}

func writeSide(t testing.TB, records []aRecord) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := newSideWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.kind == 'R' {
			err = w.raw([]byte(r.raw))
		} else {
			err = w.file(r.name, r.n, r.crc)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
