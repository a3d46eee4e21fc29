package inflate

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"testing/iotest"

	kgzip "github.com/klauspost/compress/gzip"
)

// samples are contents of many kinds.
func samples() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 700_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	words := new(bytes.Buffer)
	for words.Len() < 900_000 {
		words.WriteString([]string{"lib", "usr/share/", "\n", "Package: ", "x", "0000644\x00"}[r.IntN(6)])
		if r.IntN(9) == 0 {
			words.Write(noise[r.IntN(1000):][:r.IntN(40)])
		}
	}
	skewed := make([]byte, 600_000) // long codes: each byte half as frequent as the one before
	for i := range skewed {
		for skewed[i] < 250 && r.IntN(2) == 0 {
			skewed[i]++
		}
	}
	far := append(bytes.Clone(noise[:32<<10]), noise[:32<<10]...) // matches from as far back as can be
	far = append(far, noise[:40<<10]...)
	near := bytes.Repeat([]byte("ab"), 5000)
	for i := range 20 {
		near = append(near, bytes.Repeat(noise[i:i+i+1], 300)...)
	}
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		exe = noise
	}
	return map[string][]byte{
		"nothing": nil, "one byte": {7}, "zeros": make([]byte, 1_000_000), "noise": noise, "words": words.Bytes(), "skewed": skewed,
		"far": far, "near": near, "program": exe[:min(len(exe), 3_000_000)],
	}
}

func pack(t testing.TB, level int, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		w, err := gzip.NewWriterLevel(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(p)
		w.Close()
	}
	return b.Bytes()
}

func unpack(r io.Reader) ([]byte, error) {
	z, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(z)
}

func TestRoundTrip(t *testing.T) {
	for name, want := range samples() {
		for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 1, 6, 9} {
			packed := pack(t, level, want)
			for how, r := range map[string]io.Reader{
				"at once": bytes.NewReader(packed), "in halves": iotest.HalfReader(bytes.NewReader(packed)),
				"with the end": iotest.DataErrReader(bytes.NewReader(packed)),
			} {
				if got, err := unpack(r); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s, level %d, %s: %d bytes, %v", name, level, how, len(got), err)
				}
			}
		}
	}
	if got, err := unpack(iotest.OneByteReader(bytes.NewReader(pack(t, 6, samples()["near"])))); err != nil || !bytes.Equal(got, samples()["near"]) {
		t.Errorf("byte by byte: %v", err)
	}
}

func TestMembers(t *testing.T) {
	s := samples()
	packed := pack(t, 6, s["words"], nil, s["noise"], []byte("end"))
	want := bytes.Join([][]byte{s["words"], s["noise"], []byte("end")}, nil)
	if got, err := unpack(bytes.NewReader(packed)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// A match does not lead into the member before.
	var b bytes.Buffer
	b.Write(pack(t, 6, []byte("abcdefgh")))
	b.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	w, _ := flate.NewWriterDict(&b, 9, []byte("abcdefgh"))
	w.Write([]byte("abcdefgh"))
	w.Close()
	b.Write(make([]byte, 8))
	if got, err := unpack(&b); !errors.Is(err, errDistance) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestHeaders(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name, w.Comment, w.Extra = "name", "comment", bytes.Repeat([]byte("e"), 1000)
	w.Write([]byte("content"))
	w.Close()
	if got, err := unpack(bytes.NewReader(b.Bytes())); err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
	// With a checksum of its own: right, then wrong.
	head := append([]byte{0x1f, 0x8b, 8, hasCRC, 0, 0, 0, 0, 0, 0xff}, 0, 0)
	for crc, want := range map[uint16]error{uint16(crc32.ChecksumIEEE(head[:10])): nil, 1: ErrHeader} {
		head[10], head[11] = byte(crc), byte(crc>>8)
		got, err := unpack(bytes.NewReader(append(bytes.Clone(head), pack(t, 6, []byte("x"))[10:]...)))
		if !errors.Is(err, want) || want == nil && string(got) != "x" {
			t.Errorf("checksum %x: %q, %v", crc, got, err)
		}
	}
}

// Every end that is not the end is one that came too early, and no byte of garbage is an end.
func TestCutAndTrailing(t *testing.T) {
	for _, want := range [][]byte{[]byte("some text, some text"), samples()["near"][:3000], samples()["noise"][:1000]} {
		packed := pack(t, 6, want)
		for n := range len(packed) {
			if got, err := unpack(bytes.NewReader(packed[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut at %d of %d: %d bytes, %v", n, len(packed), len(got), err)
			}
			broken := errors.New("broken")
			if _, err := unpack(io.MultiReader(bytes.NewReader(packed[:n]), iotest.ErrReader(broken))); err != broken {
				t.Fatalf("broken at %d of %d: %v", n, len(packed), err)
			}
		}
		if _, err := unpack(bytes.NewReader(append(bytes.Clone(packed), "0123456789012"...))); !errors.Is(err, ErrHeader) {
			t.Errorf("bytes behind the end: %v", err)
		}
	}
}

// One bit changed anywhere: an error, or nothing that matters changed. It agrees with another decoder about which.
func TestFlippedBits(t *testing.T) {
	want := samples()["words"][:2000]
	packed := pack(t, 6, want)
	for i := range len(packed) * 8 {
		bad := bytes.Clone(packed)
		bad[i/8] ^= 1 << (i % 8)
		got, err := unpack(bytes.NewReader(bad))
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("bit %d: other content, no error", i)
		}
		if other, oerr := theirs(bad); (err == nil) != (oerr == nil) || err == nil && !bytes.Equal(got, other) {
			t.Fatalf("bit %d: we say %v, the library %v", i, err, oerr)
		}
	}
}

func theirs(b []byte) ([]byte, error) {
	z, err := kgzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// raw frames a deflate stream.
func raw(b []byte) []byte {
	return append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, append(b, make([]byte, 8)...)...)
}

// What we take the library takes, with the same content. It takes a little more: it lets a member have a header
// without an end, for one.
func FuzzReader(f *testing.F) {
	for _, s := range samples() {
		f.Add(pack(f, 6, s[:min(len(s), 500)])[10:])
		f.Add(pack(f, flate.HuffmanOnly, s[:min(len(s), 500)])[10:])
	}
	f.Add([]byte{1, 0, 0, 0xff, 0xff})
	f.Add([]byte{3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := drain(bytes.NewReader(raw(b)))
		one, oneErr := drain(iotest.OneByteReader(bytes.NewReader(raw(b))))
		if (err == nil) != (oneErr == nil) || err != nil && err.Error() != oneErr.Error() || err == nil && !bytes.Equal(got, one) {
			t.Fatalf("in one piece %v, byte by byte %v", err, oneErr)
		}
		r := flate.NewReader(bytes.NewReader(b))
		want, werr := io.ReadAll(r)
		// The checksum is zero, so only empty content is taken whole; what was inflated is compared all the same.
		if errors.Is(err, ErrChecksum) && (werr != nil || !bytes.Equal(got, want)) {
			t.Fatalf("we inflate %d bytes, the library %d, %v", len(got), len(want), werr)
		}
		if werr == nil && err != nil && !errors.Is(err, ErrChecksum) && !errors.Is(err, ErrHeader) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("the library inflates %d bytes, we say %v", len(want), err)
		}
	})
}

// drain gives what came before an error, too.
func drain(r io.Reader) ([]byte, error) {
	z, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(z, 64<<20))
	return b.Bytes(), err
}

func BenchmarkReader(b *testing.B) {
	data := samples()["program"]
	if name := os.Getenv("INFLATE_FILE"); name != "" {
		data, _ = os.ReadFile(name)
	}
	for _, level := range []int{1, 6} {
		packed := pack(b, level, data)
		for who, f := range map[string]func() (io.Reader, error){
			"ours":      func() (io.Reader, error) { return NewReader(bytes.NewReader(packed)) },
			"klauspost": func() (io.Reader, error) { return kgzip.NewReader(bytes.NewReader(packed)) },
			"std":       func() (io.Reader, error) { return gzip.NewReader(bytes.NewReader(packed)) },
		} {
			b.Run(fmt.Sprintf("%s level %d", who, level), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				buf := make([]byte, 256<<10)
				for b.Loop() {
					r, err := f()
					if err != nil {
						b.Fatal(err)
					}
					if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
