package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/sandbox"
)

// projectFlags are those of verbs about a project that start nothing of the user's.
func projectFlags(a *app, cmd *cobra.Command) (dir *string, profiles *[]string) {
	dir, profiles = new(string), new([]string)
	f := cmd.Flags()
	f.StringVarP(dir, "dir", "C", "", "the project's folder")
	f.StringSliceVar(profiles, "profile", nil, "apply [profile.NAME]; several apply in order")
	a.completeFlag(cmd, "profile", a.profileNames(dir))
	f.BoolVar(&a.offline, "offline", false, "use only what the store has")
	return dir, profiles
}

func newLock(a *app) *cobra.Command {
	var upgrade []string
	var platforms []string
	var all, build bool
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Pin everything the env file asks for, by hash, in sandbox.lock",
		Long: `Resolves the env file and writes sandbox.lock. Pins stay as they are unless the env file needs
another or --upgrade moves them. What is resolved inside the environment is built on the way; for another
platform only a base that is an image can be pinned here, with steps and fetches.` + "\n" + exitStatus,
		Example: `  sandbox lock
  sandbox lock --upgrade numpy
  sandbox lock --upgrade-all
  sandbox lock --platform linux/arm64      only the section of this platform`,
		Args: cobra.NoArgs,
	}
	dir, profiles := projectFlags(a, cmd)
	cmd.Flags().StringSliceVar(&upgrade, "upgrade", nil, "move the pins of these packages")
	cmd.Flags().BoolVar(&all, "upgrade-all", false, "move every pin")
	cmd.Flags().StringSliceVar(&platforms, "platform", nil, "lock for this platform; without it, for all that the env file names and that can be locked here")
	a.completeFlag(cmd, "platform", words("linux/amd64", "linux/arm64"))
	cmd.Flags().BoolVar(&build, "build", false, "build too, and write what came out as [built]")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, p := range platforms {
			if err := envfile.CheckPlatform(p); err != nil {
				return usage(cmd, fmt.Errorf("--platform %w: %q", err, p))
			}
		}
		p, err := a.project(*dir, sandbox.ProjectOptions{Profiles: *profiles})
		if err != nil {
			return err
		}
		first := !p.HasLock()
		changed, err := p.Relock(cmd.Context(), sandbox.LockOptions{Upgrade: upgrade, UpgradeAll: all, Platforms: platforms})
		if err != nil {
			return err
		}
		if build {
			if _, err := p.Build(cmd.Context()); err != nil {
				return err
			}
		}
		switch {
		case changed && first:
			a.notice("wrote sandbox.lock; commit this file")
		case changed:
			a.notice("sandbox.lock changed; commit it")
		case !build:
			a.notice("sandbox.lock is as it was")
		}
		return nil
	}
	return cmd
}

func newBuild(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the environment of the lock and record what came out",
		Long: `Builds what the store lacks and writes the identity of each built layer into [built] of the lock:
another machine that builds this lock must come out with the same.` + "\n" + exitStatus,
		Example: `  sandbox build
  sandbox build --json`,
		Args: cobra.NoArgs,
	}
	dir, profiles := projectFlags(a, cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := a.project(*dir, sandbox.ProjectOptions{Profiles: *profiles})
		if err != nil {
			return err
		}
		r, err := p.Build(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return a.json(r)
		}
		a.printf("environment %s\n", r.Digest)
		var rows [][]string
		for _, l := range r.Layers {
			state := "was there"
			if l.Built {
				state = "built"
			}
			rows = append(rows, []string{short(l.Name), l.Why, state, l.DiffID})
		}
		a.table([]string{"LAYER", "WHAT", "", "CONTENT"}, rows)
		return nil
	}
	return cmd
}

func newVerify(a *app) *cobra.Command {
	var asJSON, claims bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove the toolchain claims inside, and hash the store's content again",
		Long: `Asks each tool inside the environment for its version and compares it with [toolchain]; then
hashes every object of the store. What is damaged is named and taken out of the store: the next run, pull
or build makes it again. Where there is no env file only the store is hashed.` + "\n" + exitStatus,
		Example: `  sandbox verify
  sandbox verify --claims      only the claims`,
		Args: cobra.NoArgs,
	}
	dir, profiles := projectFlags(a, cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().BoolVar(&claims, "claims", false, "only the claims")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := a.verify(cmd.Context(), *dir, *profiles, claims)
		if err != nil {
			return err
		}
		if asJSON {
			if err := a.json(r); err != nil {
				return err
			}
		} else {
			for _, c := range r.Claims {
				a.printf("%s %s: %s\n", c.Tool, c.Want, c.Text())
			}
			for _, d := range r.Damaged {
				a.printf("damaged: %s\n", d)
			}
			if !claims && len(r.Damaged) == 0 {
				a.printf("store: %d objects hashed, none damaged\n", r.Hashed)
			}
		}
		if !r.OK() {
			return &silent{codeFail}
		}
		return nil
	}
	return cmd
}

// verify looks at the store alone where nobody has named a project and there is none.
func (a *app) verify(ctx context.Context, dir string, profiles []string, claims bool) (*sandbox.Verdict, error) {
	p, err := a.project(dir, sandbox.ProjectOptions{Profiles: profiles})
	if errors.Is(err, sandbox.ErrNoProject) && dir == "" && len(profiles) == 0 && !claims {
		m, err := a.open()
		if err != nil {
			return nil, err
		}
		return m.VerifyStore(ctx)
	}
	if err != nil {
		return nil, err
	}
	return p.Verify(ctx, !claims)
}

func newInit(a *app) *cobra.Command {
	var dir, base string
	var force bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write sandbox.toml from what the project already has",
		Long: `Reads requirements.txt, pyproject.toml, environment.yml, uv.lock, a Dockerfile and .python-version where
they are there, and writes an env file with comments. What could not be taken over is said.` + "\n" + exitStatus,
		Example: `  sandbox init
  sandbox init --base debian:12`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			if dir == "" {
				dir = "."
			}
			if base != "" {
				if _, err := envfile.ParseBase(base); err != nil {
					return usage(cmd, fmt.Errorf("--base %w: %q", err, base))
				}
			}
			r, err := m.Init(dir, base, force)
			if err != nil {
				return err
			}
			for _, n := range r.Notes {
				a.notice(n)
			}
			a.printf("wrote %s\n", r.File)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&dir, "dir", "C", "", "the project's folder")
	f.StringVar(&base, "base", "", "start from this base")
	f.BoolVar(&force, "force", false, "replace an env file that is there")
	return cmd
}

func newAdd(a *app) *cobra.Command { return edit(a, "add", "Add packages to the env file", true) }
func newRemove(a *app) *cobra.Command {
	return edit(a, "remove", "Remove packages from the env file", false)
}

// editKind is the list that add and remove work on.
func editKind(apt bool) string {
	if apt {
		return "apt"
	}
	return "python"
}

// edit is add and remove: both splice the text, so that comments and order stay.
func edit(a *app, verb, about string, adding bool) *cobra.Command {
	var apt, noLock bool
	cmd := &cobra.Command{
		Use:   verb + " [--apt] PACKAGE…",
		Short: about,
		Long: about + `, keeping its comments and order, and locks again. Names are
Python packages, or Debian packages with --apt.` + "\n" + exitStatus,
		Example: "  sandbox " + verb + " numpy\n  sandbox " + verb + " --apt git",
		Args:    cobra.MinimumNArgs(1),
	}
	dir, profiles := projectFlags(a, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := a.project(*dir, sandbox.ProjectOptions{Profiles: *profiles})
		if err != nil {
			return err
		}
		if err := p.Edit(cmd.Context(), editKind(apt), args, adding, !noLock); err != nil {
			return err
		}
		a.notice(fmt.Sprintf("%s: %s in %s", verb, strings.Join(args, " "), filepath.Join(p.Dir, sandbox.EnvName)))
		return nil
	}
	if !adding {
		cmd.ValidArgsFunction = a.completePackages(dir, &apt)
	}
	f := cmd.Flags()
	f.BoolVar(&apt, "apt", false, "Debian packages")
	f.BoolVar(&noLock, "no-lock", false, "do not lock again")
	return cmd
}
