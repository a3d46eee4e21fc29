package wheel

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// recordLine is one line of a RECORD: a path relative to site-packages, "sha256=…" in unpadded
// URL-safe base64, and the size. RECORD's own line has neither hash nor size.
type recordLine struct {
	path, hash string
	size       string
}

func parseRecord(b []byte) ([]recordLine, error) {
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	var out []recordLine
	for {
		f, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("RECORD: %w", err)
		}
		if len(out) >= 4*maxEntries {
			return nil, errors.New("RECORD: too many lines")
		}
		l := recordLine{path: f[0]}
		if len(f) > 1 {
			l.hash = f[1]
		}
		if len(f) > 2 {
			l.size = f[2]
		}
		if l.path != "" {
			out = append(out, l)
		}
	}
}

// formatRecord writes lines sorted by path.
func formatRecord(lines []recordLine) []byte {
	lines = slices.Clone(lines)
	slices.SortFunc(lines, func(a, b recordLine) int { return strings.Compare(a.path, b.path) })
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, l := range lines {
		w.Write([]string{l.path, l.hash, l.size})
	}
	w.Flush()
	return b.Bytes()
}

func recordHash(sum []byte) string { return "sha256=" + base64.RawURLEncoding.EncodeToString(sum) }

func newLine(path string, sum [sha256.Size]byte, size int64) recordLine {
	return recordLine{path, recordHash(sum[:]), strconv.FormatInt(size, 10)}
}

// checkAgainst says whether a file is what the wheel's own RECORD promises. Only sha256 is looked
// at: the wheel as a whole is verified by its own, this finds archives that were repacked badly.
func (l recordLine) checkAgainst(sum [sha256.Size]byte, size int64) error {
	if n, err := strconv.ParseInt(l.size, 10, 64); err == nil && n != size {
		return fmt.Errorf("%q: %d bytes, but RECORD says %d", l.path, size, n)
	}
	h, ok := strings.CutPrefix(l.hash, "sha256=")
	if ok && strings.TrimRight(h, "=") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		return fmt.Errorf("%q: its hash is not the one in RECORD", l.path)
	}
	return nil
}
