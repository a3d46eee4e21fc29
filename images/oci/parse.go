package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/printable"
)

// Descriptor points at a blob.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       store.Digest      `json:"digest"`
	Size         int64             `json:"size"`
	Platform     *Platform         `json:"platform,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// Document is an index or a manifest; exactly one of the two lists is set.
type Document struct {
	MediaType string
	Manifests []Descriptor // of an index
	Config    Descriptor   // of a manifest
	Layers    []Descriptor
}

// IsIndex tells the two kinds apart.
func (d *Document) IsIndex() bool {
	return d.MediaType == TypeIndex || d.MediaType == TypeDockerIndex
}

// ErrNotRunnable is in the tree of every error about a well-formed document that is no image.
var ErrNotRunnable = errors.New("not a runnable image")

// ParseDocument reads an index or manifest. mediaType is what its source calls it; "" = not known.
func ParseDocument(b []byte, mediaType string) (*Document, error) {
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("manifest of more than %d bytes", MaxManifest)
	}
	var j struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		ArtifactType  string          `json:"artifactType"`
		Manifests     *[]Descriptor   `json:"manifests"`
		Config        *Descriptor     `json:"config"`
		Layers        *[]Descriptor   `json:"layers"`
		FSLayers      json.RawMessage `json:"fsLayers"`
	}
	if err := decode(b, &j); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	mediaType, _, _ = strings.Cut(mediaType, ";")
	mediaType = strings.TrimSpace(mediaType)
	switch {
	case j.SchemaVersion == 1 || j.FSLayers != nil:
		return nil, fmt.Errorf("%w: a manifest of schema 1, which registries stopped serving", ErrNotRunnable)
	case j.Manifests != nil && (j.Layers != nil || j.Config != nil):
		return nil, errors.New("manifest: it is an index and a manifest at once")
	case j.Manifests == nil && (j.Layers == nil || j.Config == nil):
		return nil, fmt.Errorf("%w: its document is neither an index nor a manifest", ErrNotRunnable)
	case j.SchemaVersion != 2:
		return nil, fmt.Errorf("manifest: unknown schema version %d", j.SchemaVersion)
	}
	d := &Document{MediaType: j.MediaType}
	kinds := []string{TypeManifest, TypeDocker}
	if j.Manifests != nil {
		kinds = []string{TypeIndex, TypeDockerIndex}
	}
	if known(mediaType) && d.MediaType != "" && mediaType != d.MediaType {
		return nil, fmt.Errorf("manifest: it calls itself %s and is served as %s", shown(d.MediaType), shown(mediaType))
	}
	if d.MediaType == "" && known(mediaType) {
		d.MediaType = mediaType
	}
	if d.MediaType == "" {
		d.MediaType = kinds[0]
	}
	if !slices.Contains(kinds, d.MediaType) {
		if known(d.MediaType) {
			return nil, fmt.Errorf("manifest: its type %s does not fit its content", d.MediaType)
		}
		return nil, fmt.Errorf("%w: it is of type %s", ErrNotRunnable, shown(d.MediaType))
	}
	return d, d.fill(j.Manifests, j.Config, j.Layers, j.ArtifactType)
}

func known(mediaType string) bool {
	return slices.Contains([]string{TypeIndex, TypeManifest, TypeDockerIndex, TypeDocker}, mediaType)
}

func (d *Document) fill(manifests *[]Descriptor, config *Descriptor, layers *[]Descriptor, artifact string) error {
	all := []Descriptor{}
	if manifests != nil {
		d.Manifests = *manifests
		all = d.Manifests
	} else {
		if d.Config, d.Layers = *config, *layers; len(d.Layers) > maxLayers {
			return fmt.Errorf("%w: it has %d layers, more than can be stacked: %d", ErrNotRunnable, len(d.Layers), maxLayers)
		}
		if t := d.Config.MediaType; t != TypeConfig && t != TypeDockerConfig {
			if artifact != "" {
				t = artifact
			}
			return fmt.Errorf("%w: it holds %s", ErrNotRunnable, shown(t))
		}
		all = append(all, d.Config)
		all = append(all, d.Layers...)
	}
	for _, x := range all {
		if err := x.check(); err != nil {
			return fmt.Errorf("manifest: %w", err)
		}
	}
	return nil
}

// check is before any path is built or memory taken.
func (d Descriptor) check() error {
	if _, err := store.ParseDigest(string(d.Digest)); err != nil {
		return err
	}
	if d.Size < 0 || d.Size > maxBlob {
		return fmt.Errorf("size %d of %s is out of range", d.Size, d.Digest)
	}
	return nil
}

// ParseConfig reads a configuration and the diffIDs of its layers, bottom first.
func ParseConfig(b []byte) (Config, []store.Digest, error) {
	var j struct {
		Created      *time.Time `json:"created"`
		Architecture string     `json:"architecture"`
		OS           string     `json:"os"`
		Variant      string     `json:"variant"`
		Config       struct {
			Env          []string            `json:"Env"`
			Entrypoint   []string            `json:"Entrypoint"`
			Cmd          []string            `json:"Cmd"`
			Shell        []string            `json:"Shell"`
			WorkingDir   string              `json:"WorkingDir"`
			User         string              `json:"User"`
			StopSignal   string              `json:"StopSignal"`
			Volumes      map[string]struct{} `json:"Volumes"`
			ExposedPorts map[string]struct{} `json:"ExposedPorts"`
			Labels       map[string]string   `json:"Labels"`
		} `json:"config"`
		RootFS struct {
			Type    string         `json:"type"`
			DiffIDs []store.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if len(b) > MaxConfig {
		return Config{}, nil, fmt.Errorf("config of more than %d bytes", MaxConfig)
	}
	if err := decode(b, &j); err != nil {
		return Config{}, nil, fmt.Errorf("config: %w", err)
	}
	if j.RootFS.Type != "layers" {
		return Config{}, nil, fmt.Errorf("%w: its configuration names no layers", ErrNotRunnable)
	}
	for _, d := range j.RootFS.DiffIDs {
		if _, err := store.ParseDigest(string(d)); err != nil {
			return Config{}, nil, fmt.Errorf("config: diff_ids: %w", err)
		}
	}
	c := Config{Env: j.Config.Env, Entrypoint: j.Config.Entrypoint, Cmd: j.Config.Cmd, Shell: j.Config.Shell,
		WorkingDir: j.Config.WorkingDir, User: j.Config.User, StopSignal: j.Config.StopSignal, Labels: j.Config.Labels,
		Volumes: slices.Sorted(maps.Keys(j.Config.Volumes)), ExposedPorts: slices.Sorted(maps.Keys(j.Config.ExposedPorts)),
		Architecture: j.Architecture, OS: j.OS, Variant: j.Variant}
	if j.Created != nil {
		c.Created = j.Created.UTC()
	}
	return c, j.RootFS.DiffIDs, nil
}

// decode reads one JSON document of bounded depth without ambiguous keys.
func decode(b []byte, v any) error {
	err := unambiguous(b)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	return printable.Error(err, 200) // it quotes numbers and times, however long
}

// shown is a word of a document in a message.
func shown(s string) string { return printable.Line(s, 100) }

// freeWords are the objects, in small letters, whose keys no format gives a meaning: paths, ports and names.
var freeWords = []string{"labels", "annotations", "volumes", "exposedports"}

// unambiguous refuses keys that appear twice, also in another case, which readers resolve
// differently. Only keys that are the image's own words may differ in case alone: see freeWords.
func unambiguous(b []byte) error {
	type level struct {
		keys map[string]bool // nil in an array
		key  string          // the last one; "" = a key comes next
		free bool
	}
	var stack []level
	dec := json.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := dec.Token()
		if err == io.EOF && len(stack) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		var top *level
		if n := len(stack); n > 0 {
			top = &stack[n-1]
		}
		if s, ok := tok.(string); ok && top != nil && top.keys != nil && top.key == "" {
			fold := s
			if !top.free {
				fold = strings.ToLower(s)
			}
			if top.keys[fold] {
				return fmt.Errorf("key %q appears twice", shown(s))
			}
			top.keys[fold], top.key = true, "k"+strings.ToLower(s)
			continue
		}
		d, isDelim := tok.(json.Delim)
		if isDelim && (d == '{' || d == '[') {
			l := level{free: top != nil && slices.Contains(freeWords, strings.TrimPrefix(top.key, "k"))}
			if d == '{' {
				l.keys = map[string]bool{}
			}
			if top != nil {
				top.key = ""
			}
			if stack = append(stack, l); len(stack) > maxDepth {
				return fmt.Errorf("nested deeper than %d", maxDepth)
			}
			continue
		}
		if isDelim {
			stack = stack[:len(stack)-1]
		} else if top != nil {
			top.key = ""
		}
	}
}
