package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/sandbox"
	"github.com/4cc2e759/sandbox/sandbox/check"
)

func newPull(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "pull REF",
		Short: "Fetch an image into the store",
		Long: `Fetches and unpacks an image: NAME[:TAG][@DIGEST] of a registry, oci:DIR[:TAG], oci-archive:FILE[:NAME],
docker-archive:FILE[:NAME] or dir:DIR. NAME chooses among several images. DIR of dir: holds the files of a
system, not an image, as what skopeo calls dir: does. What the store has is not fetched again; a pull that
was ended goes on.` + "\n" + exitStatus,
		Example: `  sandbox pull debian:12
  sandbox pull oci:./image`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			img, err := m.Pull(cmd.Context(), args[0])
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
	cmd.Flags().BoolVar(&a.allowHTTP, "allow-http", false, "allow plain http beyond this machine")
	return cmd
}

func newImages(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "images",
		Short:   "List the images in the store",
		Long:    "Lists the images that were pulled by name, committed or imported. Of a digest the first six digits or more stand for\nthe image: in run --image, inspect, export, push --image and rmi." + "\n" + exitStatus,
		Example: "  sandbox images",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			list, err := m.Images()
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(list)
			}
			var rows [][]string
			for _, i := range list {
				rows = append(rows, []string{i.Ref, short(string(i.Manifest)), fmt.Sprint(len(i.Layers)), bytesText(i.Size), i.Pulled.Local().Format(time.DateTime)})
			}
			a.table([]string{"REFERENCE", "DIGEST", "LAYERS", "SIZE", "PULLED"}, rows)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newRmi(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "rmi REF…",
		ValidArgsFunction: a.completeNames(true, a.imageNames),
		Short:             "Forget images; gc then removes what nothing else uses",
		Long:              "Forgets images by name. Their layers stay until gc finds that nothing uses them." + "\n" + exitStatus,
		Example:           "  sandbox rmi debian:12 && sandbox gc",
		Args:              cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			return each(args, m.RemoveImage)
		},
	}
}

// each goes on after a name that fails, and tells all problems at the end.
func each(names []string, do func(string) error) error {
	var errs []error
	for _, n := range names {
		errs = append(errs, do(n))
	}
	return errors.Join(errs...)
}

func newPs(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ps",
		Short:   "List the kept sandboxes",
		Long:    "Lists sandboxes that are kept: those with a name, and the last shell of each project." + "\n" + exitStatus,
		Example: "  sandbox ps",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			list, err := sandboxes(m)
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(list)
			}
			var rows [][]string
			for _, s := range list {
				state := "running"
				if !s.Running {
					state = "ended " + s.Ended.Local().Format(time.DateTime)
				}
				rows = append(rows, []string{s.Name, state, short(s.Env), s.Project})
			}
			a.table([]string{"NAME", "STATE", "ENVIRONMENT", "PROJECT"}, rows)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().BoolP("all", "a", false, "ended ones too (they are always listed)")
	return cmd
}

// sandboxOut is a kept sandbox as scripts get it.
type sandboxOut struct {
	sandbox.State
	Running bool `json:"running"`
}

func sandboxes(m *sandbox.Manager) ([]sandboxOut, error) {
	list, err := m.Sandboxes()
	if err != nil {
		return nil, err
	}
	out := make([]sandboxOut, len(list))
	for i, s := range list {
		out[i] = sandboxOut{s, m.Running(s.Name)}
	}
	return out, nil
}

func newRm(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "rm NAME…",
		ValidArgsFunction: a.completeNames(true, a.sandboxNames),
		Short:             "Remove kept sandboxes with all that was changed in them",
		Long:              "Removes kept sandboxes. One that is running is refused." + "\n" + exitStatus,
		Example:           "  sandbox rm try",
		Args:              cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			return each(args, m.RemoveSandbox)
		},
	}
}

func newDoctor(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out whether this host can run sandboxes, and what helps if not",
		Long: `Tries each thing that a sandbox needs of the kernel and the host, in a child process of its own. A
failing run is explained by the same probes.` + "\n" + exitStatus,
		Example: `  sandbox doctor
  sandbox doctor --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			found := check.Run(cmd.Context(), check.Options{Store: m.StoreDir()})
			if asJSON {
				if err := a.json(found); err != nil {
					return err
				}
			}
			bad := false
			for _, f := range found {
				bad = bad || f.Status == check.Fail
				if asJSON {
					continue
				}
				a.printf("%-5s %s: %s\n", f.Status, f.Title, f.Detail)
				if f.Hint != "" && f.Status != check.OK {
					a.printf("      hint: %s\n", f.Hint)
				}
			}
			if bad {
				return &silent{codeHost}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
