//! Forms of networks that choose, attend or are made of tokens: read, printed, refused, and the names of their nodes.

use robustnas::arch::net::Net;
use robustnas::arch::op::Shape;
use robustnas::arch::spec::NetSpec;

use super::{CIFAR, CIFAR100, IMAGENET, net};

/// What is printed is read back, and published sizes print their names.
#[test]
fn forms_are_read_back() {
    for form in [
        "sknet:26",
        "sknet:50,kernels=3-5-7,act=silu",
        "sknet:29,groups=8,reduction=16,drop-path=0.1",
        "sknet:34",
        "sknet:50,groups=1,least=8,width=64,split=true",
        "resnext:29-16x32d",
        "convnext:atto",
        "convnext:base,stem=conv,drop-path=0",
        "convnext:depths=2-2-6-2,dims=32-64-128-256,act=silu,layer-scale=none",
        "vit:base-16",
        "vit:tiny-4,drop-path=0.1",
        "vit:small-16,stem=conv,layer-scale=0.00001",
        "vit:depth=6,dim=96,heads=3,patch=4",
        "xcit:nano-12",
        "xcit:small-12,patch=4",
        "xcit:large-24,patch=8,tokens-norm=false",
        "xcit:depth=6,dim=64,heads=4,act=relu",
        "robnet:free",
        "robnet:large-v2",
        "robnet:codes=1111-111111-11011101-1001010111,channels=16,layers=8,stem=imagenet",
    ] {
        let spec = NetSpec::parse(form).unwrap();
        assert_eq!(spec.to_string(), form);
    }
    for (form, same) in [
        ("vit:b-16", "vit:base-16"),
        ("vit:depth=12,dim=192,heads=3,patch=16", "vit:tiny-16"),
        ("convnext:depths=3-3-9-3,dims=96-192-384-768", "convnext:tiny"),
        ("xcit:depth=12,dim=384,heads=8,patch=16", "xcit:small-12"),
    ] {
        assert_eq!(NetSpec::parse(form).unwrap().to_string(), same);
    }
}

#[test]
fn mistakes_are_answered() {
    for (form, words) in [
        ("sknet:33", "known: 18, 26, 29, 34, 50, 101"),
        ("sknet:18,split=yes", "expected true or false"),
        ("sknet:50,kernels=3-4", "4 is even"),
        ("sknet:50,kernels=3-3", "given twice"),
        ("sknet:50,se=0.25", "unknown key `se`"),
        ("convnext:tony", "did you mean `tiny`"),
        ("convnext:depths=3-3", "`dims` is missing"),
        ("convnext:depths=3-3,dims=8-16-32", "2 depths, but 3 dims"),
        ("convnext:tiny,norm=batch", "unknown key `norm`"),
        ("vit:tiny", "SIZE-PATCH such as tiny-16"),
        ("vit:depth=3,dim=8,heads=2", "`patch` is missing"),
        ("vit:tiny-8,stem=conv", "patches of 16, not 8"),
        ("xcit:small-13", "SIZE-12 or SIZE-24"),
        ("xcit:small-12,patch=2", "expected 4, 8 or 16"),
        ("xcit:depth=2,dim=12,heads=2", "no multiple of 8"),
        ("robnet:small", "known: large, large-v2, free"),
        ("robnet:codes=11-1,channels=8,layers=8", "expected two bits"),
    ] {
        let why = NetSpec::parse(form).unwrap_err().to_string();
        assert!(why.contains(words), "{form}: {why}");
    }
    let lower = |form: &str, side| {
        NetSpec::parse(form)
            .unwrap()
            .load(Shape::new(side, side, 3), 10, &|_| unreachable!("no file"))
            .unwrap_err()
            .to_string()
    };
    assert!(lower("vit:tiny-16", 40).contains("do not tile a 40x40x3 image"));
    assert!(lower("sknet:18,kernels=1-3-5", 64).contains("3 branches cannot share 64 channels out equally"));
    assert!(lower("vit:depth=1,dim=8,heads=3,patch=4", 32).contains("3 heads do not divide 8 channels"));
}

/// The names and shapes that weights are looked up by.
#[test]
fn names_and_shapes() {
    let shape = |net: &Net, name: &str| net.node(net.find(name).unwrap_or_else(|| panic!("{name}"))).shape;
    let xcit = net("xcit:small-12,patch=4", CIFAR);
    for (name, expected) in [
        ("patch.bn2", Shape::new(32, 32, 96)),
        ("patch.bn4", Shape::new(8, 8, 384)),
        ("position.proj", Shape::new(8, 8, 384)),
        ("block11.attention.heads", Shape::new(8, 8, 384)),
        ("block0.local.conv2", Shape::new(8, 8, 384)),
        ("tokens.class", Shape::new(1, 65, 384)),
        ("class1.attention.q", Shape::new(1, 1, 384)),
        ("class1.attention.kv", Shape::new(1, 65, 768)),
        ("class1.mlp.add", Shape::new(1, 65, 384)),
        ("head.norm", Shape::new(1, 1, 384)),
    ] {
        assert_eq!(shape(&xcit, name), expected, "{name}");
    }
    let vit = net("vit:small-16,stem=conv", IMAGENET);
    assert_eq!(shape(&vit, "patch.proj"), Shape::new(14, 14, 384));
    assert_eq!(shape(&vit, "block3.attention.qkv"), Shape::new(1, 197, 1152));
    let convnext = net("convnext:base,stem=conv", IMAGENET);
    assert_eq!(shape(&convnext, "stem.act2"), Shape::new(56, 56, 96));
    assert_eq!(shape(&convnext, "stem.act3"), Shape::new(56, 56, 128));
    assert_eq!(shape(&convnext, "stage3.block2.fc1"), Shape::new(7, 7, 4096));
    assert!(convnext.find("stage0.block0.drop_path").is_none() && convnext.find("stage3.block2.drop_path").is_some());
    let sknet = net("sknet:29", CIFAR100);
    assert_eq!(shape(&sknet, "stage2.block0.kernel3.conv"), Shape::new(8, 8, 2048));
    assert_eq!(shape(&sknet, "stage2.block0.select.fc1"), Shape::new(1, 1, 64));
    assert_eq!(shape(&sknet, "stage2.block0.select.softmax"), Shape::new(1, 1, 4096));
    let split = net("sknet:18", IMAGENET);
    assert_eq!(shape(&split, "stage1.block0.kernel5.split"), Shape::new(56, 56, 32));
    assert_eq!(shape(&split, "stage1.block0.kernel5.conv"), Shape::new(28, 28, 128));
    assert_eq!(shape(&split, "stage1.block0.select.fc1"), Shape::new(1, 1, 16));
    assert_eq!(shape(&split, "stage1.block0.conv2"), Shape::new(28, 28, 128));
}
