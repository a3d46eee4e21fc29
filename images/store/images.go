package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/4cc2e759/sandbox/internal/sealed"
)

// ImageRecord is what a reference led to when it was last pulled.
type ImageRecord struct {
	Ref      string    `json:"ref"`
	Index    Digest    `json:"index,omitempty"`
	Manifest Digest    `json:"manifest"`
	Config   Digest    `json:"config"`
	Size     int64     `json:"size"` // bytes of all layers as they were sent
	Pulled   time.Time `json:"pulled"`
	Layers   []string  `json:"layers"` // names of layers, bottom first
	// Made says that the image was made here, by commit or import: what a registry has under this name is
	// another one.
	Made bool `json:"made,omitempty"`

	// Dir is the folder of the store that the record was found in.
	Dir string `json:"-"`
}

const recordMax = 1 << 20

// recordName keeps short references readable; a file name has at most 255 bytes.
func recordName(ref string) string {
	var b strings.Builder
	for i := range len(ref) {
		c := ref[i]
		if c == '-' || c == '_' || c == '.' && i > 0 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	n := b.String()
	if len(n) > 180 {
		n = n[:100] + "%" + DigestOf([]byte(ref)).Hex()
	}
	return n + ".json"
}

// PutImage notes what r.Ref leads to, in place of what it led to before.
func (s *Store) PutImage(r ImageRecord) error {
	if r.Ref == "" || r.Manifest.Hex() == "" {
		return errors.New("an image record needs a reference and a manifest")
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := s.writeFile(s.Path(ImageRefs), recordName(r.Ref), sealed.Seal(b), 0o644); err != nil {
		return fmt.Errorf("note image %s: %w", r.Ref, err)
	}
	return nil
}

// recordDirs are the folders of the stores whose names count, in order. Names are not like content, which is the same
// wherever it lies: what was pulled, committed or imported into the own store is what its user means.
func (s *Store) recordDirs() []string { return append([]string{s.dir}, s.o.Chain...) }

// Image is the record of ref, of the own store before those of the chain; ErrNotFound.
func (s *Store) Image(ref string) (ImageRecord, error) {
	for _, dir := range s.recordDirs() {
		r, err := readRecord(dir + "/" + ImageRefs + "/" + recordName(ref))
		if !errors.Is(err, fs.ErrNotExist) {
			r.Dir = dir
			return r, err
		}
	}
	return ImageRecord{}, fmt.Errorf("image %s: %w", ref, ErrNotFound)
}

// Images lists what each reference leads to, as [Store.Image] finds it, sorted by reference. A record that
// cannot be read is an error that names its file.
func (s *Store) Images() ([]ImageRecord, error) {
	all, err := s.Records()
	if err != nil {
		return nil, err
	}
	var out []ImageRecord
	seen := map[string]bool{}
	for _, r := range all {
		if !seen[r.Ref] {
			seen[r.Ref] = true
			out = append(out, r)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Ref < out[j].Ref })
	return out, nil
}

// Records are all records of all stores of the chain, those of the own store first. Several can be of one reference.
// One that cannot be read is an error that names its file: whoever collects garbage by these must not go on without it.
func (s *Store) Records() ([]ImageRecord, error) {
	var out []ImageRecord
	for _, dir := range s.recordDirs() {
		entries, err := os.ReadDir(dir + "/" + ImageRefs)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".json") {
				continue
			}
			r, err := readRecord(dir + "/" + ImageRefs + "/" + e.Name())
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			r.Dir = dir
			out = append(out, r)
		}
	}
	return out, nil
}

// RemoveImage forgets ref, also after a power cut; ErrNotFound if the own store did not know it. The layers stay until
// [Store.GC].
func (s *Store) RemoveImage(ref string) error {
	p := s.Path(ImageRefs, recordName(ref))
	err := s.step("remove", p, func() error { return os.Remove(p) })
	if errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("image %s: %w", ref, ErrNotFound)
	}
	if err != nil {
		return err
	}
	return s.syncDir(s.Path(ImageRefs))
}

func readRecord(path string) (r ImageRecord, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return r, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return r, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > recordMax {
		return r, fmt.Errorf("damaged image record: %s", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, recordMax))
	if err != nil {
		return r, err
	}
	body, err := sealed.Open(b)
	if err != nil {
		return r, fmt.Errorf("damaged image record: %s", path)
	}
	if err := json.Unmarshal(body, &r); err != nil || r.Ref == "" {
		return r, fmt.Errorf("damaged image record: %s: %w", path, errors.Join(err, errEmptyRecord(r)))
	}
	return r, nil
}

func errEmptyRecord(r ImageRecord) error {
	if r.Ref == "" {
		return errors.New("it names no image")
	}
	return nil
}
