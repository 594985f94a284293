//! The wrapper in the kernel that makes packets, and how long a pass of them takes.

use aya::maps::ProgramArray;
use aya::programs::{ProgramFd, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};

use crate::course::Course;

include!(concat!(env!("OUT_DIR"), "/generator.rs"));

pub(crate) struct Wrapper {
    ebpf: Ebpf,
    nothing: ProgramFd,
    frame: Vec<u8>,
    device: u32,
}

impl Wrapper {
    pub(crate) fn load(course: &Course, sessions: u32, device: u32) -> Self {
        let object = GENERATOR.unwrap_or_else(|missing| panic!("{missing}"));
        let frame = (course.frame)();
        let bytes = frame.bytes();
        let head: Vec<u64> = bytes.as_chunks::<8>().0[..16]
            .iter()
            .map(|word| u64::from_ne_bytes(*word))
            .collect();
        let mut words = vec![
            bytes.len() as u64,
            u64::from(sessions),
            u64::from(frame.is_v4()),
        ];
        words.extend(course.numbers.iter().map(|number| number.word()));
        words.resize(8, 0);
        let mut ebpf = EbpfLoader::new()
            .override_global("VISIT_FRAME", head.as_slice(), true)
            .override_global("VISIT", words.as_slice(), true)
            .load(object)
            .expect("the generator's maps are made");
        let nothing = load(&mut ebpf, "nothing");
        let _visit = load(&mut ebpf, "visit");
        Self {
            ebpf,
            nothing,
            frame: bytes.to_vec(),
            device,
        }
    }

    /// Hands packets to a program from now on.
    pub(crate) fn visit(&mut self, program: &ProgramFd) {
        let map = self.ebpf.map_mut("VISITED").expect("the map is there");
        let mut programs: ProgramArray<_> = map.try_into().expect("it is of programs");
        programs.set(0, program, 0).expect("the program fits");
    }

    /// Hands packets to nobody.
    pub(crate) fn visit_nothing(&mut self) {
        let nothing = self.nothing.try_clone().expect("a descriptor");
        self.visit(&nothing);
    }

    /// Nanoseconds that each of so many packets took.
    pub(crate) fn pass(&self, packets: u32) -> f64 {
        let program: &Xdp = self
            .ebpf
            .program("visit")
            .expect("the object has it")
            .try_into()
            .expect("it is an XDP program");
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context: Vec<u8> = [0, self.frame.len() as u32, 0, self.device, 0, 0]
            .iter()
            .flat_map(|field| field.to_ne_bytes())
            .collect();
        let options = TestRunOptions {
            data_in: Some(&self.frame),
            ctx_in: Some(&context),
            repeat: packets,
            ..TestRunOptions::new()
        };
        let result = program.test_run(options).expect("the wrapper runs");
        result.duration.as_nanos() as f64
    }
}

fn load(ebpf: &mut Ebpf, name: &str) -> ProgramFd {
    let program = ebpf.program_mut(name).expect("the object has it");
    let program: &mut Xdp = program.try_into().expect("it is an XDP program");
    program
        .load()
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    program
        .fd()
        .expect("it is loaded")
        .try_clone()
        .expect("a descriptor")
}
