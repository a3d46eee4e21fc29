package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/images"
)

func newCommit(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "commit NAME REF",
		Short: "Make an image of a kept sandbox: what it stands on and one layer of what was changed",
		Long: `Makes an image called REF in the store. The changes are exactly one more layer: what was removed is
removed, owners are those that programs asked for, caches and what belongs to this machine are left out. The
sandbox must have ended, and stays. What should be made again from a lock belongs in the env file.` + "\n" + exitStatus,
		Example: `  sandbox run --name try apt-get install -y postgresql
  sandbox commit try team/postgres:1 && sandbox push team/postgres:1`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeNames(false, a.sandboxNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			img, err := m.Commit(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(imageJSON(img))
			}
			a.printf("%s\n", img.Manifest)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().BoolVar(&a.offline, "offline", false, "use only what the store has")
	return cmd
}

func newImport(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import FILE [NAME]",
		Short: "Take an image from a file that docker save, podman save or export wrote",
		Long: `Takes the image of a tar file (- is standard input) into the store, as NAME or as the file calls it; of
several images, the one that the file calls NAME. It is run, exported and pushed like one that was pulled,
with the digests that it came with, also when the file is gone.` + "\n" + exitStatus,
		Example: `  sandbox import env.tar
  sandbox import saved.tar team/app:1.0 && sandbox run --image team/app:1.0
  podman save team/app:1.0 | sandbox import - team/app:1.0`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			var img *images.Image
			if args[0] == "-" {
				if isTerminal(a.in) {
					return usage(cmd, errors.New("standard input is a terminal: name a file, or pipe one in"))
				}
				img, err = m.ImportFrom(cmd.Context(), a.in, name)
			} else {
				img, err = m.Import(cmd.Context(), args[0], name)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(imageJSON(img))
			}
			a.notice("imported " + img.Ref)
			a.printf("%s\n", img.Manifest)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newInspect(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect REF",
		Short: "Show what an image is: digests, layers, how it runs",
		Long: `Shows an image of the store, of a file (oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], oci:DIR[:TAG])
or of a registry. No layer is fetched.` + "\n" + exitStatus,
		Example: `  sandbox inspect debian:12
  sandbox inspect --json oci-archive:env.tar`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames(false, a.imageNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			img, err := m.Inspect(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(imageJSON(img))
			}
			a.printImage(img)
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "as JSON")
	f.BoolVar(&a.offline, "offline", false, "use only what the store has")
	f.BoolVar(&a.allowHTTP, "allow-http", false, "allow plain http beyond this machine")
	return cmd
}

func (a *app) printImage(img *images.Image) {
	c := img.Config
	line := func(name, value string) {
		if value != "" {
			a.printf("%-12s %s\n", name, value)
		}
	}
	line("name", img.Ref)
	line("index", string(img.Index))
	line("manifest", string(img.Manifest))
	line("platform", c.OS+"/"+c.Architecture)
	if !c.Created.IsZero() {
		line("created", c.Created.UTC().Format(time.RFC3339))
	}
	line("user", c.User)
	line("folder", c.WorkingDir)
	if len(c.Entrypoint) > 0 {
		line("entrypoint", fmt.Sprintf("%q", c.Entrypoint))
	}
	if len(c.Cmd) > 0 {
		line("command", fmt.Sprintf("%q", c.Cmd))
	}
	for _, e := range c.Env {
		line("variable", e)
	}
	for _, p := range c.ExposedPorts {
		line("port", p)
	}
	for _, v := range c.Volumes {
		line("volume", v)
	}
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		line("label", k+"="+c.Labels[k])
	}
	for _, l := range img.Layers {
		size := "size unknown"
		if l.Size >= 0 {
			size = bytesText(l.Size)
		}
		line("layer", string(l.Digest)+"  "+size)
	}
}

// imageOut is an image as scripts get it.
type imageOut struct {
	Ref      string     `json:"ref"`
	Index    string     `json:"index,omitempty"`
	Manifest string     `json:"manifest"`
	Config   configOut  `json:"config"`
	Layers   []layerOut `json:"layers"`
}

type configOut struct {
	Digest       string            `json:"digest"`
	Platform     string            `json:"platform"`
	Created      time.Time         `json:"created"`
	User         string            `json:"user"`
	WorkingDir   string            `json:"working_dir"`
	Env          []string          `json:"env"`
	Entrypoint   []string          `json:"entrypoint"`
	Cmd          []string          `json:"cmd"`
	ExposedPorts []string          `json:"exposed_ports,omitempty"`
	Volumes      []string          `json:"volumes,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
}

type layerOut struct {
	Digest    string `json:"digest"`
	DiffID    string `json:"diff_id"`
	Size      int64  `json:"size"`
	MediaType string `json:"media_type"`
}

func imageJSON(img *images.Image) imageOut {
	c := img.Config
	o := imageOut{Ref: img.Ref, Index: string(img.Index), Manifest: string(img.Manifest), Layers: []layerOut{}, Config: configOut{
		Digest: string(img.ConfigDigest), Platform: c.OS + "/" + c.Architecture, Created: c.Created, User: c.User, WorkingDir: c.WorkingDir, Env: c.Env,
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, ExposedPorts: c.ExposedPorts, Volumes: c.Volumes, Labels: c.Labels,
	}}
	for _, l := range img.Layers {
		o.Layers = append(o.Layers, layerOut{string(l.Digest), string(l.DiffID), l.Size, l.MediaType})
	}
	return o
}
