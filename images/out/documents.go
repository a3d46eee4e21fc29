package out

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/images/store"
)

// documents are those of one image, in the form and order in which they are written.
type documents struct {
	config, manifest []byte
	mediaType        string // of the manifest
	platform         oci.Platform
	layers           []Descriptor
}

func (d *documents) digest() store.Digest { return store.DigestOf(d.manifest) }

type jsonDescriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       store.Digest      `json:"digest"`
	Size         int64             `json:"size"`
	Platform     *oci.Platform     `json:"platform,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

type jsonManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        jsonDescriptor    `json:"config"`
	Layers        []jsonDescriptor  `json:"layers"`
	Subject       *jsonDescriptor   `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

type jsonRunConfig struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
	Shell        []string            `json:"Shell,omitempty"`
}

type jsonHistory struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

type jsonConfig struct {
	Created      time.Time     `json:"created"`
	Architecture string        `json:"architecture"`
	Variant      string        `json:"variant,omitempty"`
	OS           string        `json:"os"`
	Config       jsonRunConfig `json:"config"`
	RootFS       struct {
		Type    string         `json:"type"`
		DiffIDs []store.Digest `json:"diff_ids"`
	} `json:"rootfs"`
	History []jsonHistory `json:"history"`
}

// Documents makes configuration and manifest for an image whose layers came out as given.
func makeDocuments(im Image, layers []Descriptor) (*documents, error) {
	c := im.Config
	d := &documents{layers: layers, mediaType: oci.TypeManifest, platform: oci.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}}
	if same(im, layers) {
		d.config, d.manifest = im.RawConfig, im.Manifest
		if doc, err := oci.ParseDocument(im.Manifest, ""); err == nil {
			d.mediaType = doc.MediaType
		}
		return d, nil
	}
	if im.RawConfig != nil {
		if err := d.patch(im, layers); err != nil {
			return nil, err
		}
		return d, d.makeManifest(im, layers)
	}
	j := jsonConfig{Created: created(c), Architecture: c.Architecture, Variant: c.Variant, OS: c.OS, History: []jsonHistory{}}
	j.Config = jsonRunConfig{
		User: c.User, ExposedPorts: set(c.ExposedPorts), Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Volumes: set(c.Volumes),
		WorkingDir: c.WorkingDir, Labels: c.Labels, StopSignal: c.StopSignal, Shell: c.Shell,
	}
	j.RootFS.Type, j.RootFS.DiffIDs = "layers", []store.Digest{}
	for i, l := range layers {
		j.RootFS.DiffIDs = append(j.RootFS.DiffIDs, l.DiffID)
		j.History = append(j.History, jsonHistory{created(c), "sandbox: " + im.Layers[i].What})
	}
	var err error
	if d.config, err = encode(j); err != nil {
		return nil, err
	}
	return d, d.makeManifest(im, layers)
}

func (d *documents) makeManifest(im Image, layers []Descriptor) (err error) {
	m := jsonManifest{SchemaVersion: 2, MediaType: oci.TypeManifest, Layers: []jsonDescriptor{}, Annotations: im.Annotations}
	for _, l := range layers {
		m.Layers = append(m.Layers, jsonDescriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size})
	}
	m.Config = jsonDescriptor{MediaType: oci.TypeConfig, Digest: store.DigestOf(d.config), Size: int64(len(d.config))}
	d.manifest, err = encode(m)
	return err
}

// patch takes over a configuration with all that is in it, health checks and the like, and has it name
// these layers.
func (d *documents) patch(im Image, layers []Descriptor) error {
	_, was, err := oci.ParseConfig(im.RawConfig)
	if err != nil {
		return err
	}
	now := make([]store.Digest, len(layers))
	for i, l := range layers {
		now[i] = l.DiffID
	}
	if slices.Equal(was, now) {
		d.config = im.RawConfig
		return nil
	}
	var j map[string]json.RawMessage
	if err := json.Unmarshal(im.RawConfig, &j); err != nil {
		return err
	}
	if j["rootfs"], err = encode(struct {
		Type    string         `json:"type"`
		DiffIDs []store.Digest `json:"diff_ids"`
	}{"layers", now}); err != nil {
		return err
	}
	var history []json.RawMessage
	if json.Unmarshal(j["history"], &history) == nil && len(history) > 0 {
		for i := len(was); i < len(now); i++ {
			h, err := encode(jsonHistory{created(im.Config), "sandbox: " + im.Layers[i].What})
			if err != nil {
				return err
			}
			history = append(history, h)
		}
		if j["history"], err = encode(history); err != nil {
			return err
		}
	}
	d.config, err = encode(j)
	return err
}

// same tells whether the documents that an image came with still fit.
func same(im Image, layers []Descriptor) bool {
	if im.Manifest == nil || im.RawConfig == nil {
		return false
	}
	doc, err := oci.ParseDocument(im.Manifest, "")
	return err == nil && slices.EqualFunc(doc.Layers, layers, func(a oci.Descriptor, b Descriptor) bool { return a.Digest == b.Digest })
}

func set(list []string) map[string]struct{} {
	if len(list) == 0 {
		return nil
	}
	m := map[string]struct{}{}
	for _, s := range list {
		m[s] = struct{}{}
	}
	return m
}

// encode writes JSON with keys in order, and without the escapes that are meant for web pages.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Names of an image in a layout: what Podman and containerd take as its name, and what the specification
// has for it.
const (
	containerdName = "io.containerd.image.name"
	refName        = "org.opencontainers.image.ref.name"
)

// index is the layout's index.json.
func (d *documents) index(name string) ([]byte, error) {
	desc := jsonDescriptor{MediaType: d.mediaType, Digest: d.digest(), Size: int64(len(d.manifest)), Platform: &d.platform}
	if name != "" {
		desc.Annotations = map[string]string{containerdName: name, refName: name}
	}
	return encode(struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		Manifests     []jsonDescriptor `json:"manifests"`
	}{2, oci.TypeIndex, []jsonDescriptor{desc}})
}

// dockerManifest is manifest.json of `docker save`, pointing at the layout's blobs.
func (d *documents) dockerManifest(name string) ([]byte, error) {
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	e := entry{Config: blobName(store.DigestOf(d.config)), Layers: []string{}}
	if name != "" {
		e.RepoTags = []string{name}
	}
	for _, l := range d.layers {
		e.Layers = append(e.Layers, blobName(l.Digest))
	}
	return encode([]entry{e})
}

func blobName(d store.Digest) string { return "blobs/sha256/" + d.Hex() }
