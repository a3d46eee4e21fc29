package build

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/images/wheel"
)

// stubs writes a wheel without content for each package of the base, so that the resolver can choose
// what is there already, also where no index has that version.
func (u *uvRun) stubs() error {
	dir := filepath.Join(u.r.Temp, "base")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	have := map[string]bool{}
	for _, d := range u.r.Base {
		have[wheel.Normalize(d.Name)] = true
	}
	for _, d := range u.r.Base {
		if err := writeStub(dir, d, have); err != nil {
			return fmt.Errorf("package %s of the base: %w", d.Name, err)
		}
	}
	u.base = u.r.Base
	return nil
}

func writeStub(dir string, d wheel.Dist, have map[string]bool) error {
	name := strings.ReplaceAll(wheel.Normalize(d.Name), "-", "_")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	info := name + "-" + d.Version + ".dist-info/"
	for _, f := range [][2]string{
		{"METADATA", stubMetadata(d, have)},
		{"WHEEL", "Wheel-Version: 1.0\nGenerator: sandbox\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"RECORD", ""},
	} {
		w, err := z.Create(info + f[0])
		if err != nil {
			return err
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	file := name + "-" + d.Version + "-py3-none-any.whl"
	if _, err := wheel.ParseFilename(file); err != nil {
		return nil // a version such as 1.0-1 cannot be in a file's name; then it is not offered
	}
	return os.WriteFile(filepath.Join(dir, file), b.Bytes(), 0o644)
}

// stubMetadata keeps of a package's requirements those that the base has, for their versions, and
// those of extras, which somebody may ask for. What the base lacks it has proved that it can do
// without: images leave dependencies out, or bring them as something other than packages.
func stubMetadata(d wheel.Dist, have map[string]bool) string {
	m := wheel.ParseMetadata(d.Metadata)
	var b strings.Builder
	fmt.Fprintf(&b, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", d.Name, d.Version)
	for _, x := range m.All("Provides-Extra") {
		if wheel.ValidName(x) {
			b.WriteString("Provides-Extra: " + x + "\n")
		}
	}
	for _, req := range m.All("Requires-Dist") {
		req = strings.Join(strings.Fields(req), " ")
		_, marker, _ := strings.Cut(req, ";")
		if strings.Contains(marker, "extra") || have[wheel.Normalize(requirementName(req))] {
			b.WriteString("Requires-Dist: " + req + "\n")
		}
	}
	return b.String()
}

// copyPages writes the pages of the packages that an index serves to the scratch folder, as a small
// index of its own. Everything that it is to serve must be there: another index must not step in.
func (u *uvRun) copyPages(ctx context.Context, x wheel.Index) error {
	for _, project := range x.Only {
		files, err := u.r.Client.Files(ctx, x, project)
		if err != nil {
			return err
		}
		var b strings.Builder
		b.WriteString("<!DOCTYPE html>\n")
		for _, f := range files {
			if !u.inTime(f) {
				continue
			}
			b.WriteString(`<a href="` + html.EscapeString(f.URL))
			if f.SHA256 != "" {
				b.WriteString("#sha256=" + f.SHA256)
			}
			b.WriteString(`"`)
			if f.RequiresPython != "" {
				b.WriteString(` data-requires-python="` + html.EscapeString(f.RequiresPython) + `"`)
			}
			if f.Yanked {
				b.WriteString(` data-yanked="` + html.EscapeString(f.YankedWhy) + `"`)
			}
			b.WriteString(">" + html.EscapeString(f.Name) + "</a>\n")
		}
		if err := u.write(filepath.Join("index-"+x.Name, wheel.Normalize(project), "index.html"), b.String()); err != nil {
			return err
		}
	}
	return nil
}

// inTime says whether a file counts under [resolve] as-of. One without a date does not.
func (u *uvRun) inTime(f wheel.File) bool {
	if u.cutoff.IsZero() {
		return true
	}
	t, err := time.Parse(time.RFC3339, f.UploadTime)
	return err == nil && t.Before(u.cutoff)
}

// nearest lists the versions just below and just above one that does not exist. versions come newest
// first.
func nearest(versions []string, want string) []string {
	w, err := wheel.ParseVersion(want)
	if err != nil || len(versions) == 0 {
		return versions[:min(3, len(versions))]
	}
	type near struct {
		text string
		v    wheel.Version
	}
	var below, above *near
	for _, s := range versions { // newest first
		v, err := wheel.ParseVersion(s)
		if err != nil || v.Prerelease() && !w.Prerelease() {
			continue
		}
		switch n := (&near{s, v}); {
		case v.Compare(w) > 0:
			above = n
		case below == nil:
			below = n
		}
	}
	var out []string
	for _, n := range []*near{below, above} {
		if n != nil {
			out = append(out, n.text)
		}
	}
	return slices.Compact(out)
}
