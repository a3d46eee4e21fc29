// Command floor is the least that any puller must do: download, hash, inflate, hash, write files; layers in
// parallel. It checks no names, knows no whiteouts and no owners and syncs nothing: a limit to measure
// against, not an example. Usage: floor http://HOST:PORT/v2/NAME TAG DIR
package main

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

type desc struct {
	Digest, MediaType string
	Size              int64
}
type man struct {
	Layers []desc
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

type hr struct {
	r io.Reader
	h hash.Hash
}

func (h hr) Read(p []byte) (int, error) { n, e := h.r.Read(p); h.h.Write(p[:n]); return n, e }

func main() {
	base, tag, out := os.Args[1], os.Args[2], os.Args[3]
	req, _ := http.NewRequest("GET", base+"/manifests/"+tag, nil)
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	resp, err := http.DefaultClient.Do(req)
	must(err)
	var m man
	must(json.NewDecoder(resp.Body).Decode(&m))
	var wg sync.WaitGroup
	for i, l := range m.Layers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, err := http.Get(base + "/blobs/" + l.Digest)
			must(err)
			ch := hr{r.Body, sha256.New()}
			var u io.Reader
			if strings.HasSuffix(l.MediaType, "zstd") {
				z, _ := zstd.NewReader(ch, zstd.WithDecoderConcurrency(1))
				u = z
			} else {
				g, err := gzip.NewReader(bufio.NewReaderSize(ch, 1<<20))
				must(err)
				u = g
			}
			uh := hr{u, sha256.New()}
			ext(uh, filepath.Join(out, fmt.Sprint(i)))
			io.Copy(io.Discard, uh)
			io.Copy(io.Discard, ch)
			if "sha256:"+hex.EncodeToString(ch.h.Sum(nil)) != l.Digest {
				panic("digest")
			}
		}()
	}
	wg.Wait()
}

func ext(r io.Reader, dir string) {
	must(os.MkdirAll(dir, 0o755))
	root, err := os.OpenRoot(dir)
	must(err)
	tr := tar.NewReader(r)
	buf := make([]byte, 1<<20)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return
		}
		must(err)
		n := strings.TrimPrefix(filepath.Clean("/"+h.Name), "/")
		if n == "" {
			continue
		}
		switch h.Typeflag {
		case tar.TypeDir:
			root.Mkdir(n, 0o755)
		case tar.TypeReg:
			f, err := root.OpenFile(n, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, os.FileMode(h.Mode&0o777))
			must(err)
			_, err = io.CopyBuffer(struct{ io.Writer }{f}, tr, buf)
			must(err)
			f.Close()
		case tar.TypeSymlink:
			root.Symlink(h.Linkname, n)
		case tar.TypeLink:
			root.Link(strings.TrimPrefix(filepath.Clean("/"+h.Linkname), "/"), n)
		}
	}
}
