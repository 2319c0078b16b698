//! The command line of `monopod image`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use images::Platform;

use crate::client::parse_duration;
use crate::images::RegistryOptions;

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Image {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Pull images from their registries
    #[command(after_help = PULL_HELP)]
    Pull(Pull),
    /// Load the images of an archive: an OCI layout or what docker, podman or skopeo saved
    #[command(after_help = LOAD_HELP)]
    Load(Load),
    /// Write images to an archive for docker, podman, skopeo, or another monopod
    #[command(after_help = SAVE_HELP)]
    Save(Save),
    /// Make an image of a directory, a tar archive, or a static program
    #[command(after_help = IMPORT_HELP)]
    Import(Import),
    /// List images
    #[command(after_help = LS_HELP)]
    Ls(List),
    /// Print all there is to know of images, as JSON
    #[command(after_help = INSPECT_HELP)]
    Inspect {
        /// Names or IDs
        #[arg(required = true, value_name = "NAME|ID")]
        images: Vec<String>,
    },
    /// Remove images, and the layers that no other image has
    #[command(after_help = RM_HELP)]
    Rm(Remove),
    /// Remove what no image needs, and with --all the images that no pod uses
    #[command(after_help = PRUNE_HELP)]
    Prune(Prune),
}

const PULL_HELP: &str = "\
Examples:
  sudo monopod image pull busybox:1.36                      from Docker Hub
  sudo monopod image pull ghcr.io/OWNER/web@sha256:...      what has this digest, whatever a tag leads to
  sudo monopod image pull --platform linux/arm64 busybox    for another machine: see image save

The registry is asked also when the image is there; only what is new is fetched. Credentials are those
of docker login and podman login, also of the user who called sudo. Layers that an interrupted pull has
brought to the store are not fetched again.";

#[derive(Debug, Args)]
pub(super) struct Pull {
    /// Names, as in `image:` of a pod
    #[arg(required = true, value_name = "NAME")]
    pub(super) images: Vec<String>,
    /// For OS/ARCHITECTURE[/VARIANT] instead of this machine
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Option<Platform>,
    /// Print nothing but image IDs
    #[arg(short, long)]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) registries: RegistryOptions,
}

const PRUNE_HELP: &str = "\
Examples:
  sudo monopod image prune                      layers that pulls left behind, and images without a name
  sudo monopod image prune --all --until 24h    all images that no pod asked for since yesterday
  sudo monopod image prune --all --dry-run      what that would be

An image that a living pod uses stays. So do layers that a pull under way needs. --all takes images that
were loaded or imported, too, which no registry may have.";

#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Also images with names, if no pod uses them
    #[arg(short, long)]
    pub(super) all: bool,
    /// None that came or was used within this time: 90s, 45m, 24h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "all")]
    pub(super) until: Option<Duration>,
    /// Only say what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,
}

const LOAD_HELP: &str = "\
Examples:
  docker save busybox:1.36 | sudo monopod image load -
  sudo monopod image load web.tar                         gzip and zstd too
  sudo monopod image load ./layout --name localhost/web   a directory, and a name of your own
  skopeo copy docker://busybox oci-archive:busybox.tar    where skopeo reaches a registry

Everything is checked by its digest; of an archive with something wrong in it, nothing is loaded.
A pod uses an image that was loaded when its imagePullPolicy is IfNotPresent or Never, or its name
is localhost/NAME.";

#[derive(Debug, Args)]
pub(super) struct Load {
    /// A tar archive, maybe compressed, or the directory of an OCI layout; - is standard input
    #[arg(value_name = "FILE|DIR|-")]
    pub(super) archive: PathBuf,
    /// Call the image NAME, whatever the archive calls it
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
}

const SAVE_HELP: &str = "\
Examples:
  sudo monopod image save busybox:1.36 -o busybox.tar
  sudo monopod image save localhost/web localhost/db | ssh host sudo monopod image load -
  sudo monopod image save localhost/web --format oci -o web.tar

What is saved has the image ID it had. Layers are not compressed: pipe it through gzip or zstd.";

#[derive(Debug, Args)]
pub(super) struct Save {
    /// Names or IDs
    #[arg(required = true, value_name = "NAME|ID")]
    pub(super) images: Vec<String>,
    /// Write to FILE instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// docker: what docker save writes and all read; oci: an OCI image layout
    #[arg(long, value_name = "FORMAT", default_value = "docker")]
    pub(super) format: ArchiveFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum ArchiveFormat {
    Docker,
    Oci,
}

const IMPORT_HELP: &str = "\
Examples:
  sudo monopod image import /usr/bin/busybox localhost/busybox         with links for its applets
  sudo monopod image import ./server localhost/server --env PORT=80    a static program of your own
  sudo monopod image import ./rootfs localhost/base --cmd 'sh -l'
  docker export web | sudo monopod image import - localhost/web --entrypoint /bin/web

The same files and options give the same image ID. A program called busybox* or toybox* is run
once, as user nobody, with --list to learn its applets. A program that is linked dynamically is
refused: import a directory that has its libraries too, or run it with image: localhost/host.";

#[derive(Debug, Args)]
pub(super) struct Import {
    /// A directory, a tar archive (maybe compressed), or a static program; - is an archive on standard input
    #[arg(value_name = "DIR|FILE|-")]
    pub(super) source: PathBuf,
    /// What to call the image; localhost/... is never pulled
    pub(super) name: String,
    /// Links to the program in /bin: sh,ls,cat or auto, which asks it with --list
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(super) applets: Vec<String>,
    /// The entrypoint: words, or a JSON array of them
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    pub(super) entrypoint: String,
    /// The command: words, or a JSON array of them
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    pub(super) cmd: String,
    /// A variable; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) env: Vec<String>,
    /// Where its containers start
    #[arg(long, value_name = "DIR")]
    pub(super) workdir: Option<String>,
    /// Who its containers run as: a user or a uid
    #[arg(long, value_name = "USER")]
    pub(super) user: Option<String>,
    /// A label; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) label: Vec<String>,
}

const LS_HELP: &str = "\
Examples:
  sudo monopod image ls
  sudo monopod image ls -o wide                       digests, and when each was last used
  sudo monopod image ls -o json | jq -r '.[].name'

SIZE is that of an image's files; layers that several images have are on disk once. UNIQUE is what
no other image has.";

#[derive(Debug, Args)]
pub(super) struct List {
    /// How the list looks
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    Table,
    Wide,
    Json,
}

const INSPECT_HELP: &str = "\
Examples:
  sudo monopod image inspect busybox:1.36
  sudo monopod image inspect busybox:1.36 | jq '.[0].config.config.Cmd'";

const RM_HELP: &str = "\
Examples:
  sudo monopod image rm busybox:1.36
  sudo monopod image rm 3f57d9401f8d            by the first digits of its ID

An image that a living pod uses is refused. With --force its name is taken away; the pod keeps the
files until it ends, and they go with the next rm.";

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// Names or IDs
    #[arg(required = true, value_name = "NAME|ID")]
    pub(super) images: Vec<String>,
    /// Take names away also while pods use them, and all names of an ID
    #[arg(short, long)]
    pub(super) force: bool,
}
