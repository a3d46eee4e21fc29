package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/images/out"
	"github.com/4cc2e759/sandbox/sandbox"
)

func newExport(a *app) *cobra.Command {
	var file, name, sbom, code string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "export [-o FILE] [REF]",
		Short: "Write the environment, or an image of the store, to a file that Docker and Podman load",
		Long: `Writes one tar: an OCI layout that also has Docker's manifest.json, so that docker load, podman load,
ctr images import and skopeo take it. Without REF it is the environment of this project, built if need be;
layers of the base leave as they came, and one lock gives the same file on every machine.` + "\n" + exitStatus,
		Example: `  sandbox export -o env.tar && podman load -i env.tar
  sandbox export -o - debian:12 | podman load`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeNames(false, a.imageNames),
	}
	dir, profiles := projectFlags(a, cmd)
	f := cmd.Flags()
	f.StringVarP(&file, "output", "o", "", "the file, - for standard output; without it NAME.tar here")
	f.StringVar(&name, "name", "", "what engines will call the image, as registry.example/team/app:1.0")
	f.StringVar(&sbom, "sbom", "", "also write the list of packages that the lock pins, as SPDX JSON, to this file")
	codeFlag(cmd, &code)
	f.BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		piped := file == "-" || a.isOutput(file)
		if err := a.targets(file, sbom, piped, asJSON); err != nil {
			return usage(cmd, err)
		}
		g, err := a.outgoing(cmd, args, *dir, sandbox.ProjectOptions{Profiles: *profiles}, sandbox.ExportOptions{Name: name, Code: code})
		if err != nil {
			return err
		}
		defer g.Close()
		if sbom != "" && g.SBOM == nil {
			return sandbox.ErrNoSBOM()
		}
		if file == "" {
			file = fileName(g.Name)
			if sbom != "" && sameFile(sbom, file) {
				return usage(cmd, errSameFile(sbom))
			}
		}
		var r out.Result
		if piped {
			r, err = g.ExportTo(cmd.Context(), a.out)
		} else {
			r, err = g.Export(cmd.Context(), file)
		}
		if err != nil {
			return err
		}
		if sbom != "" {
			if err := g.WriteSBOM(cmd.Context(), sbom); err != nil {
				return err
			}
		}
		if asJSON {
			return a.json(struct {
				File string `json:"file"`
				Name string `json:"name"`
				out.Result
			}{file, g.Name, r})
		}
		called := ""
		if g.Name != "" { // an image of a folder has none
			called = g.Name + ", "
		}
		if file == "-" {
			file = "to standard output"
		}
		a.notice(fmt.Sprintf("wrote %s: %s%d layers, %s", file, called, r.Layers, bytesText(r.Size)))
		if !piped {
			a.printf("%s\n", r.Manifest)
		}
		return nil
	}
	return cmd
}

// targets refuses what cannot all be written where it is asked for.
func (a *app) targets(file, sbom string, piped, asJSON bool) error {
	switch {
	case piped && isTerminal(a.out):
		return fmt.Errorf("-o %s: standard output is a terminal; name a file, or pipe it to a program", file)
	case piped && asJSON:
		return fmt.Errorf("-o %s and --json both want standard output", file)
	case sbom == "-":
		return errors.New("--sbom wants a file")
	case sbom != "" && file != "" && sameFile(sbom, file):
		return errSameFile(sbom)
	}
	return nil
}

// isOutput tells whether file is what standard output leads to: /dev/stdout, whatever that is. What is written to
// /dev/null is in nobody's way.
func (a *app) isOutput(file string) bool {
	if file == "" {
		return false
	}
	x, err1 := os.Stat(file)
	y, err2 := a.out.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y) && (x.Mode()&os.ModeCharDevice == 0 || isTerminal(a.out))
}

func errSameFile(sbom string) error {
	return fmt.Errorf("--output and --sbom are the same file: %s", sbom)
}

// sameFile tells whether two paths lead to one file, which need not be there yet.
func sameFile(a, b string) bool {
	at := func(path string) string {
		path, err := filepath.Abs(path)
		if err != nil {
			return path
		}
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			return filepath.Join(dir, filepath.Base(path))
		}
		return path
	}
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return at(a) == at(b) || err1 == nil && err2 == nil && os.SameFile(x, y)
}

// outgoing is the image that the arguments name, or this project's environment.
func (a *app) outgoing(cmd *cobra.Command, args []string, dir string, po sandbox.ProjectOptions, o sandbox.ExportOptions) (*sandbox.Outgoing, error) {
	if len(args) > 0 {
		if o.Code != "" {
			return nil, usage(cmd, errors.New("--with-code adds a project's code to its own environment, not to an image; a commit is named as --with-code=COMMIT"))
		}
		m, err := a.open()
		if err != nil {
			return nil, err
		}
		g, err := m.Outgoing(cmd.Context(), args[0])
		if err != nil || o.Name == "" {
			return g, err
		}
		return g, g.Call(o.Name)
	}
	p, err := a.project(dir, po)
	if err != nil {
		return nil, err
	}
	return p.Outgoing(cmd.Context(), o)
}

// codeFlag adds --with-code[=REV].
func codeFlag(cmd *cobra.Command, code *string) {
	cmd.Flags().StringVar(code, "with-code", "", "add the files that git tracks at this commit, HEAD if none is named, as the last layer")
	cmd.Flags().Lookup("with-code").NoOptDefVal = "HEAD"
}

// fileName is NAME.tar for an image's name.
func fileName(ref string) string {
	name, _, _ := strings.Cut(path.Base(ref), ":")
	if name == "" || name == "." {
		name = "image"
	}
	return name + ".tar"
}
