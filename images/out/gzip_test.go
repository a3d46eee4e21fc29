package out

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/4cc2e759/sandbox/images/store"
)

// sample is bytes of many kinds that are the same everywhere: text that repeats, numbers, noise, zeros.
func sample(n int) []byte {
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	b := make([]byte, 0, n+4096)
	for len(b) < n {
		switch r.IntN(4) {
		case 0:
			for range r.IntN(500) {
				b = append(b, []string{"usr/share/", "lib", "\n", "Package: ", "0000644\x00", "python3."}[r.IntN(6)]...)
			}
		case 1:
			for range r.IntN(2000) {
				b = append(b, byte(r.Uint32()))
			}
		case 2:
			b = append(b, make([]byte, r.IntN(3000))...)
		case 3:
			if k := len(b); k > 100 {
				from := r.IntN(k - 100)
				b = append(b, b[from:min(k, from+r.IntN(70000))]...)
			}
		}
	}
	return b[:n]
}

const sampleDigest = "sha256:0964d8c924e5ff411d69ca63c2542659952fc75145b082adee6631ff633e920b" // of 1 MiB

// The bytes of layer format 1. A change here makes every exported image another one: it is a new layer
// format, not a new golden value.
func TestEncoderIsFrozen(t *testing.T) {
	golden := map[int]string{
		0:              "sha256:ac73670af3abed54ac6fb4695131f4099be9fbe39d6076c5d0264a6bbdae9d83",
		1:              "sha256:b1aa6f59be18664c862af82af33b5fba22d69d1d032a5daea730e48aa20e7fe3",
		gzipChunk - 1:  "sha256:1be1d9dd6a82c3c6766230a3e90caf500b95284fb80b7cce36e11a461ea7aa3b",
		gzipChunk:      "sha256:dc069772527fbd3b9324a85e7abfa69e22d90047b14a5a9a163923e5c1e39ff9",
		gzipChunk + 1:  "sha256:3c3e494e83b12fb5b2cbb87593af43353a01c95f2ff9fb5f920066bfd4e56708",
		5<<20 + 12_345: "sha256:75f47c89aa38f0c66c311c2c70c04d7c593bc4e640a52671f0e351fb2cbebb41",
	}
	if got := store.DigestOf(sample(1 << 20)); got != sampleDigest {
		t.Fatalf("the sample itself changed, which says nothing about the encoder: %s", got)
	}
	for n, want := range golden {
		in := sample(n)
		got := string(store.DigestOf(compress(t, in, n+1)))
		if got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
}

func compress(t *testing.T, in []byte, step int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewGzip(&b)
	for len(in) > 0 {
		n := min(step, len(in))
		if _, err := w.Write(in[:n]); err != nil {
			t.Fatal(err)
		}
		in = in[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEncoderDependsOnContentAlone(t *testing.T) {
	in := sample(3<<20 + 777)
	want := compress(t, in, len(in))
	r, err := gzip.NewReader(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false)
	if out, err := io.ReadAll(r); err != nil || !bytes.Equal(out, in) {
		t.Fatalf("it does not give back what went in: %d bytes, %v", len(out), err)
	}
	for _, step := range []int{1000, 4096, gzipChunk - 1, gzipChunk, 2 * gzipChunk} {
		for _, procs := range []int{1, 7} {
			old := runtime.GOMAXPROCS(procs)
			got := compress(t, in, step)
			runtime.GOMAXPROCS(old)
			if !bytes.Equal(got, want) {
				t.Errorf("written in steps of %d with %d processors it is another file", step, procs)
			}
		}
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestEncoderReportsFailure(t *testing.T) {
	for _, after := range []int{0, 5, 100_000} {
		w := NewGzip(&failing{after})
		_, werr := w.Write(sample(4 << 20))
		if err := w.Close(); !errors.Is(errors.Join(werr, err), io.ErrShortWrite) {
			t.Errorf("after %d bytes: %v", after, err)
		}
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("it takes more after its end")
		}
	}
}
