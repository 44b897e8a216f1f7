"""What the lecture says: its steps, its errata, and every claim that the course puts to the test.

The notebooks measure; `cvlab.course.claims` sets the measurement beside what stands here. Each of the
lecture's steps and each erratum has at least one claim, in one notebook. To add a claim, add an
entry to `CLAIMS` and give its measurement to `claims.check` in that notebook; nothing else.
"""

from dataclasses import dataclass
from typing import Final

HOLDS: Final = "holds"
DIFFERS: Final = "differs"
UNMEASURED: Final = "not measured in this profile"

ALL: Final = ("quick", "laptop", "lecture")
# The lecture's accuracies are of photos; drawn pictures can neither confirm nor refute them.
PHOTOS: Final = ("laptop", "lecture")
# What needs the lecture's own network, VGG16 with ImageNet weights.
VGG16: Final = ("lecture",)

STEPS: Final[dict[int, str]] = {
    1: "Seven questions about convolutional networks",
    2: "The seven questions answered",
    3: "LeNet",
    4: "Challenges: covariate shift, vanishing gradients, initialization",
    5: "Batch normalization: the formula, on mini-batches, inside the network",
    6: "Two learnable and two non-learnable parameters",
    7: "No bias before BatchNorm; BatchNorm before the activation",
    8: "Layer, group, instance, batch re- and weight normalization",
    9: "Dogs vs. Cats: 25,000 photos, of which 4,000 are used",
    10: "The small convnet and its summary",
    11: "The baseline: trained without regularization",
    12: "Seven options of the augmenter",
    13: "Four augmented versions of one picture",
    14: "Training with augmentation",
    15: "Augmentation and dropout",
    16: "What the trained convnet sees",
    17: "Foundational networks",
    18: "VGG16 against VGG19",
    19: "Four ways of transfer",
    20: "The convolutional base of VGG16",
    21: "Early layers are generic, late layers specific, dense layers lose location",
    22: "Fast feature extraction without augmentation",
    23: "Feature extraction with augmentation",
    24: "Fine-tuning in five steps",
    25: "Accuracy can improve while the loss does not",
    26: "Freezing Keras layers",
    27: "Summary: the ladder",
    28: "Neural networks from physics",
}

ERRATA: Final[dict[int, str]] = {
    1: "Compile does not protect a shared layer from training",
    2: "Each pretrained base has its own preprocessing",
    3: "shear_range=0.2 is a fifth of a degree",
    4: "fit_generator is gone, ImageDataGenerator and .h5 are legacy",
    5: "extract_features never ends",
    6: "Lines that cannot run: set_trainable, image",
    7: "The table of VGG16 and VGG19",
    8: "A filter is a stack of kernels",
    9: "From 70 to 80 % is not 10 % relative",
    10: "The best validation accuracy of one run is no result",
    11: "A base with BatchNorm needs inference mode",
    12: "Internal covariate shift is disputed as the reason",
    13: "96 % with a frozen VGG16",
    14: "ImageDataGenerator cannot be imported from keras",
}


# The ladder of step 27, from the bottom up: the claim that measures each rung, the rung's name and
# the lecture's figure.
LADDER: Final[dict[str, tuple[str, float]]] = {
    "baseline-accuracy": ("from scratch", 0.70),
    "augmentation-accuracy": ("+ augmentation", 0.82),
    "dropout-accuracy": ("+ dropout", 0.84),
    "extraction-accuracy": ("feature extraction", 0.90),
    "frozen-accuracy": ("frozen base + augmentation", 0.96),
    "finetuning-accuracy": ("fine-tuning", 0.97),
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of the lecture that a notebook puts to the test.

    Attributes:
        id: Short name, the same everywhere: in the notebook, in records and in the report.
        notebook: Number of the notebook that measures it, for example `05`.
        says: The statement, as close to the lecture's words and figures as one line allows.
        step: The lecture's step (key of `STEPS`) it belongs to.
        erratum: The key of `ERRATA`, if the statement is known not to hold or not to hold today.
        figure: The lecture's figure: one number, or the lowest and highest that agree with its
            words ("70+ %": 0.70 to 0.80). None if the statement is a fact, true or false.
        percent: Whether `figure` is a share, to be shown in percent.
        today: What is true instead, in a few words without measured numbers; shown where the
            verdict is `differs`.
        profiles: Profiles that can decide the claim. In the others the measurement, if there is
            one, is shown, and the verdict is `UNMEASURED`.
        quick: The verdict that the committed outputs (profile `quick`) show; tests compare. By
            default `HOLDS`, or `UNMEASURED` where `profiles` leaves `quick` out.
    """

    id: str
    notebook: str
    says: str
    step: int
    erratum: int | None = None
    figure: float | tuple[float, float] | None = None
    percent: bool = False
    today: str = ""
    profiles: tuple[str, ...] = ALL
    quick: str = HOLDS

    def expected(self, profile: str = "quick") -> str:
        """The verdict known in advance: of `quick`, or `UNMEASURED` where that is certain."""
        return self.quick if profile in self.profiles else UNMEASURED

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The lowest and the highest figure that agree with the lecture; None for a fact."""
        if self.figure is None or isinstance(self.figure, tuple):
            return self.figure
        return (self.figure, self.figure)


CLAIMS: Final[dict[str, Claim]] = {
    claim.id: claim
    for claim in (
        # 00
        Claim(
            id="seven-questions",
            notebook="00",
            step=1,
            says="Seven questions to start with",
            figure=7,
        ),
        # 01
        Claim(
            id="maps-equal-filters",
            notebook="01",
            step=2,
            says="A layer has as many feature maps as filters",
        ),
        Claim(
            id="backprop-is-convolution",
            notebook="01",
            step=2,
            says="The backprop of a convolution is a convolution",
        ),
        Claim(
            id="pooling-saves-compute",
            notebook="01",
            step=2,
            says="Pooling subsamples and reduces the computational load",
        ),
        Claim(
            id="kernel-is-filter",
            notebook="01",
            step=2,
            erratum=8,
            says="Kernel and filter: no difference, they are the same",
            today="a filter holds one kernel for each input channel",
            quick=DIFFERS,
        ),
        Claim(
            id="filters-are-learned",
            notebook="01",
            step=2,
            says="You do not define a filter: filters are learned",
        ),
        Claim(
            id="lenet-reads-digits",
            notebook="01",
            step=3,
            says="LeNet reads handwritten digits (here: more than 95 % of those held out)",
            figure=(0.95, 1.0),
            percent=True,
        ),
        # 02
        Claim(
            id="activations-drift",
            notebook="02",
            step=4,
            says="The distribution of activations changes as data pass through the layers",
        ),
        Claim(
            id="sigmoid-gradients-vanish",
            notebook="02",
            step=4,
            says="Gradients vanish in deep networks with sigmoid",
        ),
        Claim(
            id="initialization-matters",
            notebook="02",
            step=4,
            says="Poor initial weights make training fail; BatchNorm helps",
        ),
        Claim(
            id="shift-is-the-reason",
            notebook="02",
            step=4,
            erratum=12,
            says="BatchNorm works because it reduces internal covariate shift",
            today="a network whose inputs are made to shift more trains as well (Santurkar 2018)",
            quick=DIFFERS,
        ),
        Claim(
            id="batchnorm-formula",
            notebook="02",
            step=5,
            says="normalized_data = (data - mean) / std, over the mini-batch",
        ),
        Claim(
            id="two-learnable-two-not",
            notebook="02",
            step=6,
            says="Two learnable parameters (gamma, beta), two non-learnable (moving averages)",
        ),
        Claim(
            id="bias-is-useless",
            notebook="02",
            step=7,
            says="The layer before BatchNorm does not need its own bias",
        ),
        Claim(
            id="norm-before-activation",
            notebook="02",
            step=7,
            says="BatchNorm before the activation is proper, after it is how not to use it",
            today="both orders come out within a few points of each other",
            quick=DIFFERS,
        ),
        # 03
        Claim(
            id="layer-norm-small-batches",
            notebook="03",
            step=8,
            says="Layer normalization suits small and variable batches",
        ),
        Claim(
            id="layer-norm-all-channels",
            notebook="03",
            step=8,
            says="Layer normalization works across all channels within a layer",
            today="Keras's default takes the channels of each position by itself",
            quick=DIFFERS,
        ),
        Claim(
            id="group-norm-groups",
            notebook="03",
            step=8,
            says="Group normalization has its statistics within groups of channels",
        ),
        Claim(
            id="instance-norm-channels",
            notebook="03",
            step=8,
            says="Instance normalization treats each channel of each sample by itself",
        ),
        Claim(
            id="renorm-closes-the-gap",
            notebook="03",
            step=8,
            says="Batch renormalization corrects batch statistics towards the population's",
        ),
        Claim(
            id="weight-norm-decouples",
            notebook="03",
            step=8,
            says="Weight normalization decouples magnitude and direction of the weights",
        ),
        # 04
        Claim(
            id="subset-counts",
            notebook="04",
            step=9,
            says="1,000 + 500 + 500 pictures of each class",
        ),
        # 05
        Claim(
            id="summary-rows",
            notebook="05",
            step=10,
            says="Eleven rows of model.summary(): shapes and parameters",
        ),
        Claim(
            id="small-cnn-parameters",
            notebook="05",
            step=10,
            says="3,453,121 parameters at 150 × 150",
            figure=3_453_121,
        ),
        Claim(
            id="baseline-accuracy",
            notebook="05",
            step=11,
            says="Trained without regularization: 70+ %",
            figure=(0.70, 0.80),
            percent=True,
            profiles=PHOTOS,
        ),
        Claim(
            id="baseline-overfits",
            notebook="05",
            step=11,
            says="The network overfits",
        ),
        Claim(
            id="baseline-overfits-epoch",
            notebook="05",
            step=11,
            says="It overfits after 5 to 10 epochs",
            figure=(5, 10),
            profiles=PHOTOS,
        ),
        Claim(
            id="fit-generator",
            notebook="05",
            step=11,
            erratum=4,
            says="Training is started by model.fit_generator",
            today="fit takes arrays, data sets and generators alike",
            quick=DIFFERS,
        ),
        Claim(
            id="import-generator",
            notebook="05",
            step=11,
            erratum=14,
            says="from keras.preprocessing.image import ImageDataGenerator",
            today="ImportError in Keras 3; augmentation is made of layers",
            quick=DIFFERS,
        ),
        # 06
        Claim(
            id="seven-options",
            notebook="06",
            step=12,
            says="Each of the seven options changes pictures as described",
        ),
        Claim(
            id="shear-shows",
            notebook="06",
            step=12,
            erratum=3,
            says="shear_range=0.2 shears the pictures visibly",
            today="it is in degrees: a fifth of one",
            quick=DIFFERS,
        ),
        Claim(
            id="four-versions",
            notebook="06",
            step=13,
            says="The preview shows four different versions of one picture",
        ),
        Claim(
            id="preview-runs",
            notebook="06",
            step=13,
            erratum=6,
            says="The code of the preview runs as it stands",
            today="it uses `image`, which is never imported",
            quick=DIFFERS,
        ),
        Claim(
            id="augmentation-accuracy",
            notebook="06",
            step=14,
            says="With augmentation: 80 to 83 %",
            figure=(0.80, 0.83),
            percent=True,
            profiles=PHOTOS,
        ),
        Claim(
            id="augmentation-delays-overfitting",
            notebook="06",
            step=14,
            says="Thanks to augmentation overfitting takes place later",
        ),
        Claim(
            id="no-new-information",
            notebook="06",
            step=14,
            says="You cannot produce new information, only remix existing information",
            # Elsewhere too few epochs pass for the fewest pictures to show what they can do.
            profiles=("lecture",),
        ),
        Claim(
            id="ten-percent-relative",
            notebook="06",
            step=14,
            erratum=9,
            says="From 70 to 80 % is a 10 % relative improvement",
            figure=0.10,
            percent=True,
            today="10 points, and 14 % of 70 %",
            quick=DIFFERS,
        ),
        # 07
        Claim(
            id="dropout-accuracy",
            notebook="07",
            step=15,
            says="With augmentation and dropout: 83 to 84 %",
            figure=(0.83, 0.84),
            percent=True,
            profiles=PHOTOS,
        ),
        Claim(
            id="dropout-no-overfitting",
            notebook="07",
            step=15,
            says="With both, no overfitting is visible",
        ),
        Claim(
            id="saved-model-returns",
            notebook="07",
            step=16,
            says="The saved model is used again for visualization",
        ),
        Claim(
            id="h5-format",
            notebook="07",
            step=15,
            erratum=4,
            says="model.save('….h5') is the way to keep a model",
            today=".h5 is a legacy format: .keras keeps everything",
            quick=DIFFERS,
        ),
        # 08
        Claim(
            id="networks-run",
            notebook="08",
            step=17,
            says="LeNet, AlexNet, VGG, GoogLeNet, ResNet, MobileNet, Xception, ViT name classes",
        ),
        Claim(
            id="vgg-convolutions",
            notebook="08",
            step=18,
            says="13 convolutions in VGG16, 16 in VGG19; 5 poolings, 3 dense layers in both",
        ),
        Claim(
            id="vgg-table",
            notebook="08",
            step=18,
            erratum=7,
            says="ReLU 5 and 18, filters 64 & 128, 41 and 47 layers",
            today="both have filters 64 to 512 and a ReLU behind all but the last layer",
            quick=DIFFERS,
        ),
        Claim(
            id="classifier-as-it-is",
            notebook="08",
            step=19,
            says="A pretrained model can classify pictures as it is (here: better than guessing)",
            figure=(0.55, 1.0),
            percent=True,
        ),
        Claim(
            id="vgg16-base-parameters",
            notebook="08",
            step=20,
            says="The base of VGG16 has 14,714,688 parameters",
            figure=14_714_688,
        ),
        Claim(
            id="vgg16-base-rows",
            notebook="08",
            step=20,
            says="Every row of its table, ending with (4, 4, 512) at 150 × 150",
        ),
        Claim(
            id="early-layers-are-generic",
            notebook="08",
            step=21,
            says="For a task far from the pretraining, earlier layers serve better",
        ),
        Claim(
            id="dense-loses-location",
            notebook="08",
            step=21,
            says="Dense layers no longer know where an object is; feature maps do",
            today="a dense layer on flattened maps still knows, pooling less, the class nothing",
            quick=DIFFERS,
        ),
        # 09
        Claim(
            id="features-flatten",
            notebook="09",
            step=22,
            says="Features of shape (4, 4, 512) flatten to 8,192 numbers",
            figure=8192,
        ),
        Claim(
            id="extraction-accuracy",
            notebook="09",
            step=22,
            says="Fast feature extraction: about 90 %",
            figure=(0.89, 0.91),
            percent=True,
            profiles=PHOTOS,
        ),
        Claim(
            id="extraction-beats-scratch",
            notebook="09",
            step=22,
            says="Better than the small model trained from scratch",
        ),
        Claim(
            id="epoch-under-a-second",
            notebook="09",
            step=22,
            says="An epoch takes less than one second even on CPU",
            # It hangs on the machine, so outputs that are compared cannot decide it, nor can a
            # graphics card.
            profiles=("laptop",),
        ),
        Claim(
            id="standalone-extractor",
            notebook="09",
            step=19,
            says="A pretrained model can serve as a program that makes features",
        ),
        Claim(
            id="rescale-suits-every-base",
            notebook="09",
            step=22,
            erratum=2,
            says="rescale=1./255 in front of a pretrained base",
            today="each base has its own preprocess_input",
            quick=DIFFERS,
        ),
        Claim(
            id="extraction-loop-ends",
            notebook="09",
            step=22,
            erratum=5,
            says="extract_features stops when every picture has been seen once",
            today="its break stands behind the loop, which never ends",
            quick=DIFFERS,
        ),
        # 10
        Claim(
            id="combined-parameters",
            notebook="10",
            step=23,
            says="VGG16's base and the classifier: 16,812,353 parameters",
            figure=16_812_353,
        ),
        Claim(
            id="thirty-then-four",
            notebook="10",
            step=23,
            says="30 trainable weights before freezing, 4 after",
        ),
        Claim(
            id="frozen-accuracy",
            notebook="10",
            step=23,
            erratum=13,
            says="Extraction with augmentation, base frozen: about 96 %",
            figure=(0.95, 0.97),
            percent=True,
            profiles=PHOTOS,
        ),
        Claim(
            id="integrated-extractor",
            notebook="10",
            step=19,
            says="A pretrained base can be part of a new model, frozen",
        ),
        # 11
        Claim(
            id="only-block5-moves",
            notebook="11",
            step=24,
            says="Only block 5 and the classifier are trained",
        ),
        Claim(
            id="finetuning-accuracy",
            notebook="11",
            step=24,
            says="Fine-tuning: about 97 %",
            figure=(0.96, 0.98),
            percent=True,
            profiles=PHOTOS,
        ),
        Claim(
            id="wrong-order-destroys",
            notebook="11",
            step=24,
            says="Unfreezing before the classifier is trained destroys what was learned",
            today="the last block moves further, with the head's larger steps; no loss of 5 points",
            quick=DIFFERS,
        ),
        Claim(
            id="weight-initialization",
            notebook="11",
            step=19,
            says="Pretrained weights can serve as initial weights",
        ),
        Claim(
            id="set-trainable-runs",
            notebook="11",
            step=24,
            erratum=6,
            says="conv_bas.set_trainable = False freezes up to a layer",
            today="a misspelled name, and an attribute that Keras does not know",
            quick=DIFFERS,
        ),
        Claim(
            id="accuracy-without-loss",
            notebook="11",
            step=25,
            says="Accuracy can improve while the average loss does not",
        ),
        Claim(
            id="one-percent-is-a-gain",
            notebook="11",
            step=24,
            erratum=10,
            says="One run shows a nice 1 % improvement",
            today="1,000 test pictures leave more than a point to luck",
            quick=DIFFERS,
        ),
        # 12
        Claim(
            id="constructor-freezes",
            notebook="12",
            step=26,
            says="Dense(32, trainable=False) is excluded from training",
        ),
        Claim(
            id="attribute-needs-compile",
            notebook="12",
            step=26,
            says="A change of `trainable` takes effect with compile",
        ),
        Claim(
            id="frozen-model-keeps-weights",
            notebook="12",
            step=26,
            erratum=1,
            says="frozen_model.fit does not update the weights of the shared layer",
            today="it does: `trainable` is read when training starts",
            quick=DIFFERS,
        ),
        Claim(
            id="freezing-is-enough",
            notebook="12",
            step=26,
            erratum=11,
            says="Unfreezing the last layers one by one suits any base, BatchNorm or not",
            today="BatchNorm among them changes its moving statistics: keep it frozen",
            quick=DIFFERS,
        ),
        # 13
        Claim(
            id="ladder-climbs",
            notebook="13",
            step=27,
            says="The ladder: 70, 82, 84, 90, 96, 97 %, each rung above the one before",
            profiles=PHOTOS,
        ),
        Claim(
            id="pretrained-beats-scratch",
            notebook="13",
            step=27,
            says="Reusing a pretrained network beats training from scratch on a small dataset",
        ),
        # 14
        Claim(
            id="hopfield-recalls",
            notebook="14",
            step=28,
            says="A Hopfield network stores pictures and recalls them",
        ),
        Claim(
            id="boltzmann-learns",
            notebook="14",
            step=28,
            says="A Boltzmann machine learns from pictures without labels",
        ),
    )
}


def of_notebook(notebook: str) -> list[Claim]:
    """The claims that a notebook measures, in the order in which they are listed.

    Args:
        notebook: Its number, for example `05`.
    """
    return [claim for claim in CLAIMS.values() if claim.notebook == notebook]
